"""ContinuedTraining: a finished model learns other text, with its tokenizer as it was."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from components.continued.train import ContinuedTraining, ContinuedTrainingInputs
from components.data.tokenize import Tokenize, TokenizeInputs
from components.lib.examples.permutation import draw
from components.lib.examples.windows import Windows
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.ledger.chain import batch_hash, read, row_hashes
from components.lib.models.companions import TOKENIZER_FILES
from components.lib.models.folders import load_model
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles
from tests.components.interrupted import leave

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[1] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


@pytest.fixture
def inputs(checkpoint, shards, vocabulary) -> ContinuedTrainingInputs:
    return ContinuedTrainingInputs(model=checkpoint, shards=shards, vocabulary=vocabulary)


@pytest.fixture
def both(checkpoint, shards_of, vocabulary) -> ContinuedTrainingInputs:
    """Documents to learn, and others to replay."""
    return ContinuedTrainingInputs(
        model=checkpoint,
        shards=shards_of["library"],
        vocabulary=vocabulary,
        replay=shards_of["speeches"],
    )


def continued(steps: int, **changes) -> ContinuedTraining:
    training = Hyperparameters(num_steps=steps, batch_size=8, learning_rate=0.005)
    return ContinuedTraining(**{"training": training, "sequence_length": 64, **changes})


def held_out_bits(model, shards) -> float:
    return HeldOut(shards, "test", 64, 16).bits_per_byte(TorchModel(load_model(model.path)))


def test_held_out_text_gets_likelier(inputs, tmp_path):
    after = continued(30).run(inputs, tmp_path)
    assert held_out_bits(after, inputs.shards) < held_out_bits(inputs.model, inputs.shards) - 0.1


@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Gemma3Text"])
def test_a_foreign_model_reads_the_documents_by_its_own_tokenizer(kind, corpus, tmp_path):
    make = foreign.gemma if kind.startswith("Gemma") else foreign.smol
    folder = make(tmp_path / "model", kind)
    base = Adopt().run(ModelFiles.of(folder), made(tmp_path, "base"))
    own = vocabulary_of(base)
    read_as = TokenizeInputs(corpus=corpus, vocabulary=own)
    shards = Tokenize().run(read_as, made(tmp_path, "shards"))
    inputs = ContinuedTrainingInputs(model=base, shards=shards, vocabulary=own)
    after = continued(20).run(inputs, made(tmp_path, "after"))
    assert held_out_bits(after, shards) < held_out_bits(base, shards) - 0.5
    for name in (*TOKENIZER_FILES, "generation_config.json", "base.json"):
        if (base.path / name).is_file():
            assert (after.path / name).read_bytes() == (base.path / name).read_bytes(), name


def test_an_epoch_sees_every_sequence_once_and_the_ledger_proves_it(inputs, tmp_path):
    component = ContinuedTraining(training=EpochHyperparameters(batch_size=16), sequence_length=64)
    component.run(inputs, tmp_path)
    windows = Windows(inputs.shards.path / "train", 64)
    entries = read(tmp_path)
    assert len(entries) == -(-len(windows) // 16)
    drawn = [draw(entry.draw, 16, len(windows), component.training.seed) for entry in entries]
    hashes = [f"{batch_hash(windows.batch(indices)) % (1 << 64):016x}" for indices in drawn]
    assert [entry.batch for entry in entries] == hashes
    assert set(np.concatenate(drawn).tolist()) == set(range(len(windows)))


def test_an_adapter_leaves_the_embeddings_and_is_merged_with_a_proof(inputs, tmp_path):
    after = continued(12, lora=LoRA(rank=4)).run(inputs, tmp_path)
    assert (tmp_path / "merge.json").is_file()
    old, new = (load_model(model.path).state_dict() for model in (inputs.model, after))
    assert torch.equal(old["model.embed_tokens.weight"], new["model.embed_tokens.weight"])
    assert held_out_bits(after, inputs.shards) < held_out_bits(inputs.model, inputs.shards)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_told_to_leave_it_ends_later_as_if_nothing_had_been(inputs, both, tmp_path, share):
    component, inputs = continued(24, replay_share=share), both if share else inputs
    whole = component.run(inputs, made(tmp_path, "whole"))
    out = made(tmp_path, "halves")
    assert 0 < leave(component, inputs, out, after=5) < 24
    again = component.run(inputs, out)
    assert read(out)[-1].chain == read(whole.path)[-1].chain
    weights = [(model.path / "model.safetensors").read_bytes() for model in (whole, again)]
    assert weights[0] == weights[1]
    said = (out / "metrics.jsonl").read_text("utf-8").count("replay.share")
    assert said == (1 if share else 0)


def test_a_stated_share_of_what_is_seen_is_replayed_and_the_metrics_say_it(
    both, tmp_path, read_spool
):
    component = ContinuedTraining(
        training=EpochHyperparameters(batch_size=8), sequence_length=32, replay_share=0.25
    )
    component.run(both, tmp_path)
    windows, again = (Windows(s.path / "train", 32) for s in (both.shards, both.replay))
    entries = read(tmp_path)
    size = len(windows) + round(len(windows) / 3)
    assert len(entries) == -(-size // 8)
    row = dict[str, int]()
    for text in (windows, again):
        hashes = row_hashes(text.batch(np.arange(len(text))))
        row |= dict.fromkeys(hashes, int(text is again))
    examples = component.examples(both)
    drawn = [row_hashes(examples.batch(draw(e.draw, 8, size, 0))) for e in entries]
    assert [f"{sum(each) % (1 << 64):016x}" for each in drawn] == [e.batch for e in entries]
    number = sum(row[each] for step in drawn for each in step)
    assert number / (8 * len(entries)) == pytest.approx(0.25, abs=0.01)
    told = [point for _, point in read_spool(tmp_path) if "replay.share" in point]
    assert told == [
        {
            "replay.sequences": number,
            "replay.share": number / (8 * len(entries)),
            "replay.epochs": number / len(again),
        }
    ]


@pytest.mark.parametrize("micro_batch_size", [3, 8])
def test_replay_is_the_same_training_in_parts_of_any_size(both, tmp_path, micro_batch_size):
    def train(name: str, size: int) -> tuple[bytes, torch.Tensor]:
        training = Hyperparameters(
            num_steps=3, batch_size=8, micro_batch_size=size, learning_rate=0.005
        )
        made_of = ContinuedTraining(
            training=training, sequence_length=64, replay_share=0.4, document_mask=True
        )
        after = made_of.run(both, made(tmp_path, name))
        state = load_model(after.path).state_dict().values()
        ledger = (after.path / "ledger.jsonl").read_bytes()
        return ledger, torch.cat([value.flatten() for value in state])

    before = torch.cat([v.flatten() for v in load_model(both.model.path).state_dict().values()])
    (ledger, alone), (other, parts) = train("one", 1), train("parts", micro_batch_size)
    assert ledger == other
    assert float((parts - alone).norm()) < 0.1 * float((alone - before).norm())


def test_with_replay_less_of_the_old_text_is_forgotten(both, tmp_path):
    def bits_after(share: float, name: str) -> float:
        inputs = both if share else both.model_copy(update={"replay": None})
        after = continued(40, replay_share=share).run(inputs, made(tmp_path, name))
        return HeldOut(both.replay, "test", 64, 16).bits_per_byte(
            TorchModel(load_model(after.path))
        )

    assert bits_after(0.5, "with") < bits_after(0.0, "without") - 0.02


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_share_to_replay_without_documents_is_refused_and_the_other_way_round(
    inputs, both, tmp_path, share
):
    with pytest.raises(ValueError, match=f"replay_share is {share:g}, and there are "):
        continued(4, replay_share=share).run(inputs if share else both, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sequence_length": 512}, "longer than the context of the model, 256 tokens"),
        ({"training": EpochHyperparameters(batch_size=100_000)}, "fewer than one batch of 100000"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_begins(inputs, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        continued(4, **changes).run(inputs, tmp_path)


def test_documents_are_hidden_only_where_the_model_can_hide_them(corpus, tmp_path):
    base = Adopt().run(
        ModelFiles.of(foreign.smol(tmp_path / "model", "Bloom")), made(tmp_path, "b")
    )
    own = vocabulary_of(base)
    shards = Tokenize().run(TokenizeInputs(corpus=corpus, vocabulary=own), made(tmp_path, "s"))
    inputs = ContinuedTrainingInputs(model=base, shards=shards, vocabulary=own)
    with pytest.raises(ValueError, match="documents of one sequence see each other in a Bloom"):
        continued(4, document_mask=True).run(inputs, made(tmp_path, "out"))
