"""ContinuedTraining: a finished model learns other text, with its tokenizer as it was."""

import importlib.util
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from components.continued.train import ContinuedTraining, ContinuedTrainingInputs
from components.core.processes.preemption import Preempted
from components.data.tokenize import Tokenize, TokenizeInputs
from components.lib.examples.permutation import draw
from components.lib.examples.windows import Windows
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.ledger.chain import batch_hash, read
from components.lib.models.companions import TOKENIZER_FILES
from components.lib.models.folders import load_model
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles

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


def test_told_to_leave_it_ends_later_as_if_nothing_had_been(inputs, tmp_path):
    component = continued(24)
    whole = component.run(inputs, made(tmp_path, "whole"))
    out = made(tmp_path, "halves")

    def leave() -> None:
        while len(read(out)) < 5:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=leave)
    thread.start()
    with pytest.raises(Preempted):
        component.run(inputs, out)
    thread.join()
    assert 0 < len(read(out)) < 24
    again = component.run(inputs, out)
    assert read(out)[-1].chain == read(whole.path)[-1].chain
    weights = [(model.path / "model.safetensors").read_bytes() for model in (whole, again)]
    assert weights[0] == weights[1]


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
