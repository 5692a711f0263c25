"""Adopt: a model in a folder is taken in as it is, and what is no model is refused."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, LlamaModel, T5Config
from transformers import T5ForConditionalGeneration as T5

from components.core.files import manifest
from components.lib.inference.conversation import Conversation
from components.lib.inference.sampling import Sampling
from components.lib.models.companions import TOKENIZER_FILES
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.text.chat import answer_end, encode_prompt
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles

_spec = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def adopted(folder: Path, out: Path):
    return Adopt().run(ModelFiles.of(folder), out)


def test_a_model_is_taken_in_with_its_weights_and_its_tokenizer(checkpoint, tmp_path):
    taken = Adopt().run(ModelFiles.of(checkpoint.path), tmp_path)
    assert taken.num_parameters == checkpoint.num_parameters
    ours, theirs = load_model(tmp_path).state_dict(), load_model(checkpoint.path).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert vocabulary_of(taken).vocab_size == load_model(tmp_path).config.vocab_size


def test_its_content_is_its_identity_wherever_it_lies(checkpoint, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(checkpoint.path, folder)
    one, other = (Adopt().fingerprint(ModelFiles.of(folder)) for folder in (first, second))
    assert one == other
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert Adopt().fingerprint(ModelFiles.of(second)) != one


def test_the_folder_is_left_as_it_was(checkpoint, tmp_path):
    before = manifest(checkpoint.path)
    Adopt().run(ModelFiles.of(checkpoint.path), tmp_path)
    assert manifest(checkpoint.path) == before


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_a_part_of_a_model_is_refused_by_name(checkpoint, tmp_path, missing):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint.path, folder)
    (folder / missing).unlink()
    named = missing.replace("model.", r"\*\.")
    with pytest.raises(ValueError, match=f"has no {named}, so it is no model"):
        ModelFiles.of(folder)


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"/nowhere/otter is not there: name a folder"):
        ModelFiles.of(Path("/nowhere/otter"))


@pytest.mark.parametrize("kind", foreign.CONFIGS)
def test_a_decoder_of_any_architecture_is_taken_in_with_its_tokenizer(kind, tmp_path, out):
    make = foreign.gemma if kind.startswith("Gemma") else foreign.smol
    folder = make(tmp_path / "model", kind)
    taken = adopted(folder, out)
    assert taken.num_parameters == sum(p.numel() for p in load_model(folder).parameters())
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            assert (out / name).read_bytes() == (folder / name).read_bytes(), name
    facts = json.loads((out / "base.json").read_text("utf-8"))
    assert (
        facts["architecture"] == json.loads((out / "config.json").read_text())["architectures"][0]
    )
    assert (facts["context"], facts["chat_template"]) == (256, "its own")
    assert facts["content"] == ModelFiles.of(folder).fingerprint
    assert facts["parameters"] == taken.num_parameters


def test_what_ends_a_turn_ends_generation_even_where_only_the_template_knows_it(tmp_path, out):
    adopted(foreign.gemma(tmp_path / "model"), out)
    tokenizer = load_tokenizer(out)
    end = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert answer_end(tokenizer) == end
    assert Conversation(out, 1).model.end_ids == {tokenizer.eos_token_id, end}


def test_a_conversation_uses_the_models_own_template_and_beginning(tmp_path, out):
    adopted(foreign.gemma(tmp_path / "model"), out)
    talk, tokenizer = Conversation(out, 1), load_tokenizer(out)
    begin = tokenizer.convert_tokens_to_ids("<bos>")
    assert talk.ask("a a") == encode_prompt(tokenizer, "a a")
    assert talk.ask("a a").count(begin) == 1
    assert talk.read("a a")[0] == begin
    assert talk.end == answer_end(tokenizer)


def test_generation_stops_at_each_of_its_end_tokens(tmp_path, out):
    """The bias of the output decides what is said: first the second end, then the first."""
    folder = foreign.smol(tmp_path / "model", "Phi")
    generation = {"eos_token_id": [0, 2], "bos_token_id": 1, "pad_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    for end in (0, 2):
        weights = load_file(folder / "model.safetensors")
        weights["lm_head.bias"].zero_()[end] = 100.0
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        place = out / str(end)
        place.mkdir()
        adopted(folder, place)
        talk = Conversation(place, 1)
        assert list(talk.stream(talk.ask("Hi"), Sampling(max_new_tokens=8))) == []
        assert talk.model.generate([talk.ask("Hi")], 8) == [[]]


def test_a_base_without_a_template_gets_ours_in_tokens_that_it_has(tmp_path, out):
    folder = foreign.smol(tmp_path / "model", "GPT2", template=None)
    adopted(folder, out)
    tokenizer = load_tokenizer(out)
    assert tokenizer.decode(encode_prompt(tokenizer, "Hi")) == "<|user|>Hi<|assistant|>"
    assert len(tokenizer) == len(load_tokenizer(folder)), "the vocabulary grew"
    assert answer_end(tokenizer) == tokenizer.convert_tokens_to_ids("<|endoftext|>")
    facts = json.loads((out / "base.json").read_text("utf-8"))
    assert facts["chat_template"] == "the platform's, spelled as text"


def test_a_file_that_changes_after_it_was_named_is_refused(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    named = ModelFiles.of(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    with pytest.raises(ValueError, match="changed while it was read"):
        Adopt().run(named, out)


def test_sharded_weights_are_the_same_model_and_a_missing_shard_is_named(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    whole = load_model(folder)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(file.name for file in folder.glob("*.safetensors"))
    assert len(shards) > 1
    adopted(folder, out)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(load_model(out)(input_ids=ids).logits, whole(input_ids=ids).logits)
    (folder / shards[0]).unlink()
    (tmp_path / "again").mkdir()
    with pytest.raises(ValueError, match=f"has no {shards[0]}"):
        adopted(folder, tmp_path / "again")


def test_weights_that_are_cut_short_are_refused_by_name(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or cut short"):
        adopted(folder, out)


def test_a_pickle_is_refused_with_the_remedy(tmp_path):
    folder = foreign.smol(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is a pickle.*as safetensors"):
        ModelFiles.of(folder)


def test_a_missing_tokenizer_is_refused_with_the_remedy(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"no tokenizer\.json, and none can be made.*Save one"):
        adopted(folder, out)


def test_a_vocabulary_larger_than_the_embedding_is_refused(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    foreign.save_model(folder, "Llama", 250, eos_token_id=2)
    with pytest.raises(ValueError, match=r"has 259 ids, and its model knows 250"):
        adopted(folder, out)


def test_an_unknown_architecture_is_refused_with_the_version_of_transformers(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "otter"}))
    with pytest.raises(ValueError, match=r"model_type='otter'.*transformers \d+\.\d+"):
        adopted(folder, out)
    remote = config | {"model_type": "otter", "auto_map": {"AutoConfig": "otter.Config"}}
    (folder / "config.json").write_text(json.dumps(remote))
    with pytest.raises(ValueError, match="code that comes with a model is never run"):
        adopted(folder, out)


def test_what_no_stage_can_use_is_refused_with_the_reason(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    T5(T5Config(vocab_size=259, **sizes)).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"T5ForConditionalGeneration is an encoder-decoder"):
        adopted(folder, out)
    LlamaModel(load_model(foreign.smol(tmp_path / "whole")).config).save_pretrained(folder)
    with pytest.raises(ValueError, match="LlamaModel, which has no head"):
        adopted(folder, out)


def test_an_encoder_is_taken_in_as_it_is(tmp_path, out):
    folder = foreign.smol(tmp_path / "model")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=259, intermediate_size=48, **sizes)
    BertForMaskedLM(config).save_pretrained(folder)
    adopted(folder, out)
    assert type(load_model(out)).__name__ == "BertForMaskedLM"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"README.md": "---\nlicense: apache-2.0\n---\n# Otter"}, "apache-2.0"),
        ({"README.md": "---\nlicense: other\nlicense_name: otter\n---\n"}, "otter"),
        ({"README.md": "# Otter"}, "not stated"),
        ({}, "not stated"),
    ],
)
def test_its_licence_is_what_its_files_say(tmp_path, out, written, said):
    folder = foreign.smol(tmp_path / "model")
    for name, text in written.items():
        (folder / name).write_text(text, "utf-8")
    adopted(folder, out)
    assert json.loads((out / "base.json").read_text("utf-8"))["licence"] == said
