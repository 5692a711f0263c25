"""The int8 ONNX export, on a small Llama trained on four sentences until it knows them."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)
from transformers import PreTrainedTokenizerFast as FastTokenizer

from components.compress.export import export_int8
from components.lib.inference.onnx_model import OnnxModel

pytest.importorskip("onnxruntime_genai")

BOS: Final = 0
EOS: Final = 1
PAD: Final = 2
CONTEXT: Final = 64
SENTENCES: Final = [
    "A bloomery is a furnace that was once used to smelt iron from its oxides.",
    "The smith heats the bloom and hammers it until the slag runs out of the iron.",
    "Charcoal burns in a blast of air, and carbon monoxide reduces the ore to metal.",
    "Water from the river turned the wheel, and the wheel worked the bellows all night.",
]


def _train_tokenizer() -> FastTokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|bos|>", "<|eos|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return FastTokenizer(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
        chat_template="{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}",
    )


_SIZES: Final = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}


def _new_llama(*, tied: bool, **sizes: int) -> Any:
    torch.random.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    config = LlamaConfig(**{**_SIZES, **sizes}, tie_word_embeddings=tied)
    return LlamaForCausalLM(config)


@torch.no_grad()
def _randomize(model: Any) -> None:
    """Make every layer count: at the usual start each adds next to nothing."""
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "embed" not in name:
            parameter.normal_(std=0.2)


@pytest.fixture(scope="module")
def documents() -> list[list[int]]:
    tokenizer: Any = _train_tokenizer()
    return [[BOS, *tokenizer.encode(sentence), EOS] for sentence in SENTENCES]


@pytest.fixture(scope="module")
def llama(documents: list[list[int]]) -> Any:
    torch.set_num_threads(1)  # two for so small a model wait for each other on a busy machine
    model = _new_llama(tied=True)
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(160):
        ids = torch.tensor([documents[step % len(documents)]])
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def model_folder(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    _save(llama, folder)
    return folder


def _save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer: Any = _train_tokenizer()
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def exported(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "int8"
    export_int8(model_folder, out)
    return out


@pytest.fixture(scope="module")
def onnx_model(exported: Path) -> OnnxModel:
    return OnnxModel(exported, num_threads=1)


def _torch_nats(model: Any, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor(ids[:, :-1])).logits
    targets = torch.tensor(ids[:, 1:])
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return nats.numpy()


def _torch_greedy(model: Any, prompt: list[int], max_new_tokens: int) -> list[int]:
    ids = list(prompt)
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token == EOS:
            break
        ids.append(token)
    return ids[len(prompt) :]


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("*"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_folder_holds_model_config_and_tokenizer_alone(exported: Path) -> None:
    assert set(_hashes(exported)) == {
        "chat_template.jinja",
        "genai_config.json",
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_export_is_much_smaller_than_the_float32_weights(
    model_folder: Path, exported: Path
) -> None:
    before = (model_folder / "model.safetensors").stat().st_size
    after = sum((exported / name).stat().st_size for name in ("model.onnx", "model.onnx.data"))
    # 8 bits and a scale of 4 bytes for 32 weights: 0.28. The graph and the rope table come on top.
    assert after < before / 2.5


def test_same_model_gives_the_same_bytes(
    model_folder: Path, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_int8(model_folder, tmp_path / "elsewhere")
    assert _hashes(tmp_path / "elsewhere") == _hashes(exported)
    assert capfd.readouterr().out == ""


def test_likelihood_is_that_of_the_float32_model(
    llama: Any, onnx_model: OnnxModel, documents: list[list[int]]
) -> None:
    rng = np.random.default_rng(0)
    known = np.array([document[:16] for document in documents], np.int64)
    unknown = rng.integers(3, 512, size=(4, 16))
    for ids in (known, unknown):
        reference, nats = _torch_nats(llama, ids), onnx_model.negative_log_likelihood(ids)
        assert nats.shape == (4, 15)
        assert nats.dtype == np.float32
        assert nats.mean() == pytest.approx(reference.mean(), rel=0.02)
        assert np.abs(nats - reference).mean() < 0.03 * reference.mean() + 0.01


def test_likelihood_is_the_same_in_one_run_and_in_many(
    onnx_model: OnnxModel, documents: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = np.array([document[:12] for document in documents], np.int64)
    whole = onnx_model.negative_log_likelihood(ids)
    monkeypatch.setattr("components.lib.inference.onnx_model.LOGITS_PER_RUN", 1)
    np.testing.assert_allclose(onnx_model.negative_log_likelihood(ids), whole, atol=1e-4)


def test_greedy_text_is_that_of_the_float32_model(
    llama: Any, onnx_model: OnnxModel, documents: list[list[int]]
) -> None:
    prompts = [[*a[:3], *b[6:9]] for a in documents for b in documents]
    expected = [_torch_greedy(llama, prompt, 24) for prompt in prompts]
    got = onnx_model.generate(prompts, 24)
    same = [a == b for x, y in zip(expected, got, strict=True) for a, b in zip(x, y, strict=False)]
    assert len(same) > 100
    assert np.mean(same) > 0.9


def test_decoder_and_scorer_agree(onnx_model: OnnxModel, documents: list[list[int]]) -> None:
    prompt = documents[1][:5]
    ids = list(prompt)
    for token in onnx_model.generate([prompt], 12)[0]:
        (best, probability), _ = onnx_model.next_token_probabilities(ids, 2)
        assert token == best
        ids.append(token)
        nats = onnx_model.negative_log_likelihood(np.array([ids], np.int64))[0, -1]
        assert np.exp(-nats) == pytest.approx(probability, abs=1e-4)


def test_probabilities_are_sorted_and_sum_to_one(onnx_model: OnnxModel) -> None:
    ranked = [probability for _, probability in onnx_model.next_token_probabilities([BOS], 512)]
    assert ranked == sorted(ranked, reverse=True)
    assert sum(ranked) == pytest.approx(1.0, abs=1e-5)


def test_batch_of_unequal_lengths_equals_one_by_one(
    onnx_model: OnnxModel, documents: list[list[int]]
) -> None:
    prompts = [document[:length] for document in documents for length in (9, 2, 14, 5, 7)]
    assert len(prompts) > 16, "more than one batch"
    alone = [onnx_model.generate([prompt], 16)[0] for prompt in prompts]
    assert onnx_model.generate(prompts, 16) == alone
    assert len({len(ids) for ids in alone}) > 1, "some rows end before others"


def test_generation_ends_at_eos_and_leaves_it_out(
    onnx_model: OnnxModel, documents: list[list[int]]
) -> None:
    for document in documents:
        assert onnx_model.generate([document[:8]], 40)[0] == document[8:-1]


def test_any_of_several_eos_ends_a_row_alone(
    exported: Path, documents: list[list[int]], tmp_path: Path
) -> None:
    stop = next(token for token in documents[0][10:] if token not in documents[2])
    shutil.copytree(exported, tmp_path / "copy")
    config_file = tmp_path / "copy" / "genai_config.json"
    config = json.loads(config_file.read_text())
    config["model"]["eos_token_id"] = [EOS, stop]
    config_file.write_text(json.dumps(config))
    first, second = OnnxModel(tmp_path / "copy", 1).generate(
        [documents[0][:8], documents[2][:8]], 40
    )
    assert first == documents[0][8 : documents[0].index(stop, 8)]
    assert second == documents[2][8:-1]


def test_prompt_that_holds_the_pad_token_is_read_whole(
    llama: Any, onnx_model: OnnxModel, documents: list[list[int]]
) -> None:
    prompts = [[BOS, PAD, PAD, *documents[3][1:7]], [*documents[2][:5], PAD]]
    first_tokens = [ids[:1] for ids in onnx_model.generate(prompts, 8)]
    assert first_tokens == [_torch_greedy(llama, prompt, 1) for prompt in prompts]
    for prompt, ids in zip(prompts, first_tokens, strict=True):
        assert ids == [onnx_model.next_token_probabilities(prompt, 1)[0][0]]


def test_untied_model_keeps_its_own_embedding(tmp_path: Path) -> None:
    model = _new_llama(tied=False)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    _save(model, tmp_path / "untied")
    export_int8(tmp_path / "untied", tmp_path / "out")
    ids = np.random.default_rng(0).integers(3, 512, size=(2, 20))
    nats = OnnxModel(tmp_path / "out", num_threads=1).negative_log_likelihood(ids)
    assert np.abs(nats - _torch_nats(model, ids)).mean() < 0.1


@pytest.mark.parametrize("sizes", [{"intermediate_size": 512}, {"num_attention_heads": 32}])
def test_a_layer_as_wide_as_the_vocabulary_is_not_taken_for_the_output_head(
    sizes: dict[str, int], tmp_path: Path
) -> None:
    model = _new_llama(tied=True, head_dim=16, **sizes)
    _randomize(model)
    _save(model, tmp_path / "wide")
    export_int8(tmp_path / "wide", tmp_path / "out")
    ids = np.random.default_rng(0).integers(3, 512, size=(2, 20))
    nats = OnnxModel(tmp_path / "out", num_threads=1).negative_log_likelihood(ids)
    assert np.abs(nats - _torch_nats(model, ids)).mean() < 0.1


def test_a_window_of_attention_holds_in_scores_and_in_decoding(tmp_path: Path) -> None:
    model = MistralForCausalLM(MistralConfig(**_SIZES, sliding_window=8)).eval()
    _randomize(model)
    _save(model, tmp_path / "sliding")
    export_int8(tmp_path / "sliding", tmp_path / "out")
    exported = OnnxModel(tmp_path / "out", num_threads=1)
    ids = np.random.default_rng(0).integers(3, 512, size=(2, CONTEXT))
    reference, nats = _torch_nats(model, ids), exported.negative_log_likelihood(ids)
    assert np.abs(nats - reference).mean() < 0.02 * reference.mean()
    model.config.sliding_window = None
    assert np.abs(_torch_nats(model, ids) - reference)[:, 16:].mean() > 0.1, "no window to see"
    prompt = ids[0, :20].tolist()
    (made,) = exported.generate([prompt], 30)
    assert len(made) == 30 or EOS in made
    whole = np.array([[*prompt, *made]], np.int64)
    seen = exported.negative_log_likelihood(whole)[0, 19:]
    best = [exported.next_token_probabilities([*prompt, *made[:n]], 1)[0][1] for n in (0, 15, 29)]
    assert best == pytest.approx(np.exp(-seen[[0, 15, 29]]).tolist(), abs=1e-3)


def test_export_refuses_heads_that_the_kernel_cannot_take(tmp_path: Path) -> None:
    _save(_new_llama(tied=True, hidden_size=48), tmp_path / "narrow")
    with pytest.raises(ValueError, match="heads are 12 wide, and the int8 export takes multiples"):
        export_int8(tmp_path / "narrow", tmp_path / "out")


def test_export_refuses_a_folder_without_safetensors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="save_pretrained"):
        export_int8(tmp_path, tmp_path / "out")


def test_export_refuses_an_architecture_the_builder_does_not_know(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=512, n_positions=32, n_embd=32, n_layer=1, n_head=2)
    _save(GPT2LMHeadModel(config), tmp_path / "gpt2")
    with pytest.raises(ValueError, match="It is GPT2LMHeadModel, and the int8 export knows"):
        export_int8(tmp_path / "gpt2", tmp_path / "out")


def test_model_refuses_what_it_would_misread(onnx_model: OnnxModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="export_int8 first"):
        OnnxModel(tmp_path)
    with pytest.raises(ValueError, match="A prompt is empty"):
        onnx_model.generate([[BOS], []], 4)
    with pytest.raises(ValueError, match="Token -100 is outside"):
        onnx_model.negative_log_likelihood(np.array([[BOS, -100]]))
    with pytest.raises(ValueError, match="60 tokens and 5 new ones do not fit a context of 64"):
        onnx_model.generate([[BOS] * 60], 5)
    assert onnx_model.generate([], 4) == []
