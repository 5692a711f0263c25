"""What a foreign base goes through: shards by its tokenizer, tuning, alignment, the probe."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from components.align.dpo import DPO, DPOInputs
from components.align.reference import Reference, ReferenceInputs
from components.core.artifacts.data import PreferencePairs
from components.core.artifacts.reports import HeldOutText
from components.data.tokenize import Tokenize, TokenizeInputs
from components.evals.probe import Probe, ProbeInputs
from components.finetune.sft import SFT, SFTInputs
from components.lib.examples.batches import IGNORED
from components.lib.examples.dialogues import Dialogues
from components.lib.examples.shards import BYTE_LENGTHS
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.models.companions import TOKENIZER_FILES
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.models.proof import hides_documents
from components.lib.objectives.next_token import NextToken
from components.lib.tasks.microtasks import generate
from components.lib.text.chat import answer_end, encode_prompt, render_prompt
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles

_spec = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def taken(kind: str, tmp_path: Path):
    make = foreign.gemma if kind.startswith("Gemma") else foreign.smol
    return Adopt().run(ModelFiles.of(make(tmp_path / "model", kind)), made(tmp_path, "base"))


def tokenized(base, corpus, tmp_path: Path):
    inputs = TokenizeInputs(corpus=corpus, vocabulary=vocabulary_of(base))
    return Tokenize().run(inputs, made(tmp_path, "shards"))


@pytest.mark.parametrize("kind", ["Llama", "Gemma3Text"])
def test_the_bytes_of_the_shards_are_those_of_the_text(kind, corpus, tmp_path):
    shards = tokenized(taken(kind, tmp_path), corpus, tmp_path)
    lengths = np.load(shards.path / BYTE_LENGTHS)
    for split, size in shards.num_bytes.items():
        ids = np.load(shards.path / split / "shard_00000.npy")
        starts = np.load(shards.path / split / "document_starts.npy")
        assert lengths[ids].sum() - shards.bytes_added * (len(starts) - 1) == size
        if shards.begin_of_text is not None:
            assert (ids[starts[:-1]] == shards.begin_of_text).all()
    wants = (1, False) if kind == "Gemma3Text" else (0, True)
    assert (shards.bytes_added, shards.begin_of_text is None) == wants


def test_bits_per_byte_follow_the_definition_where_texts_have_a_beginning(corpus, tmp_path):
    """A sequence begins with what the model wants, which is no target, and no byte is added."""
    base = taken("Gemma3Text", tmp_path)
    shards, model = tokenized(base, corpus, tmp_path), load_model(base.path)
    held_out = HeldOut(shards, "test", 64, 8)
    lengths = np.load(shards.path / BYTE_LENGTHS)
    stream = np.load(shards.path / "test" / "shard_00000.npy").astype(np.int64)
    starts = set(np.load(shards.path / "test" / "document_starts.npy").tolist())
    nats, num_bytes = 0.0, 0
    count = (len(stream) - 1) // 64
    for window in np.unique(np.linspace(0, count - 1, 8).astype(int)).tolist():
        row = stream[window * 64 : window * 64 + 65].copy()
        row[0] = shards.begin_of_text
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(row[None, :-1])).logits[0]
        each = F.cross_entropy(logits, torch.tensor(row[1:]), reduction="none").tolist()
        for offset, token in enumerate(row[1:].tolist()):
            if token != shards.begin_of_text:
                nats += each[offset]
            num_bytes += int(lengths[token]) - (window * 64 + offset in starts)
    assert held_out.num_bytes == num_bytes
    found = held_out.bits_per_byte(TorchModel(model))
    assert found == pytest.approx(nats / np.log(2) / num_bytes, rel=2e-3)


def test_a_vocabulary_beyond_two_bytes_has_shards_of_four(corpus, tmp_path):
    folder = foreign.smol(tmp_path / "model")
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens([f"<extra_{number}>" for number in range(66_000)])
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    foreign.save_model(folder, "Llama", len(tokenizer), eos_token_id=2)
    base = Adopt().run(ModelFiles.of(folder), made(tmp_path, "base"))
    shards = tokenized(base, corpus, tmp_path)
    assert shards.vocab_size == 259 + 66_000
    assert np.load(shards.path / "train" / "shard_00000.npy").dtype == np.uint32


@pytest.mark.parametrize("kind", ["Llama", "Gemma2"])
def test_the_end_of_an_answer_bears_a_loss_though_it_is_what_fills_up(kind, tmp_path):
    base = taken(kind, tmp_path)
    tokenizer, tasks = load_tokenizer(base.path), generate(seed=1, num_instances=24)
    end = answer_end(tokenizer)
    for packs in (True, False):
        batch = Dialogues(tokenizer, [task.dialogue() for task in tasks], 64, packs).batch(
            np.arange(24)
        )
        assert int((batch.targets == end).sum()) == 24, "each answer ends once"
        said = []
        for row in batch.targets:
            kept = row[row != IGNORED]
            parts = np.split(kept, np.flatnonzero(kept == end) + 1)
            said += [tokenizer.decode(part[:-1]).strip() for part in parts if len(part)]
        assert sorted(said) == sorted(task.completion.strip() for task in tasks)


def test_the_template_itself_renders_what_is_trained_on(tmp_path):
    tokenizer = load_tokenizer(taken("Llama", tmp_path).path)
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    answer = [*tokenizer.encode("b", add_special_tokens=False), answer_end(tokenizer)]
    assert tokenizer.decode([*encode_prompt(tokenizer, "a"), *answer]) == whole.rstrip("\n")


@pytest.mark.parametrize("kind", foreign.CONFIGS)
def test_dialogues_in_one_sequence_have_the_loss_that_each_has_alone(kind, tmp_path):
    base = taken(kind, tmp_path)
    tokenizer, model = load_tokenizer(base.path), load_model(base.path)
    tasks, objective = generate(seed=1, num_instances=8), NextToken()
    dialogues = Dialogues(
        tokenizer, [task.dialogue() for task in tasks], 256, packs=hides_documents(model)
    )

    @torch.no_grad()
    def loss(*chosen: int) -> float:
        return float(objective(model, dialogues.batch(np.array(chosen)))["cross_entropy"])

    assert loss(*range(8)) == pytest.approx(sum(loss(n) for n in range(8)), rel=2e-3)


@pytest.mark.parametrize("kind", ["Llama", "Gemma2", "OPT", "GPT2"])
def test_a_foreign_base_goes_through_the_stages_with_its_tokenizer_untouched(
    kind, corpus, instructions, evaluation, tmp_path
):
    base = taken(kind, tmp_path)
    shards = tokenized(base, corpus, tmp_path)
    training = Hyperparameters(num_steps=4, batch_size=8, learning_rate=0.01, evaluate_every=4)
    inputs = SFTInputs(model=base, instructions=instructions, shards=shards)
    tuned = SFT(training=training).run(inputs, made(tmp_path, "tuned"))
    prompt = render_prompt(load_tokenizer(tuned.path), "Copy: a")
    rows = [{"prompt": prompt, "chosen": "a", "rejected": "b"}] * 4
    pairs = made(tmp_path, "pairs")
    (pairs / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = PreferencePairs(path=pairs, num_pairs=4, sampled_accuracy=0.5)
    scored = ReferenceInputs(model=tuned, pairs=few)
    reference = Reference().run(scored, made(tmp_path, "reference"))
    preferred = DPOInputs(model=tuned, pairs=few, reference=reference)
    training = EpochHyperparameters(batch_size=2)
    aligned = DPO(training=training).run(preferred, made(tmp_path, "aligned"))
    for folder in (tuned.path, aligned.path):
        for name in (*TOKENIZER_FILES, "generation_config.json", "base.json"):
            if (base.path / name).is_file():
                assert (folder / name).read_bytes() == (base.path / name).read_bytes(), name
    probed = ProbeInputs(
        model=aligned,
        shards=shards,
        evaluation=evaluation,
        held_out=HeldOutText(sequence_length=64, num_sequences=8),
    )
    report = Probe(num_instructions=8, num_resamples=100).run(probed, made(tmp_path, "probe"))
    assert 0 < report.bits_per_byte < 12
    before, after = (load_model(each.path).state_dict() for each in (tuned, aligned))
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
