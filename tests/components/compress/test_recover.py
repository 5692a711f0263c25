"""Recover: a pruned model learns text again, and its zeros stay."""

import json
from pathlib import Path

import pytest

from components.compress.prune import Prune, PruneInputs
from components.compress.pruning.calibration import Calibration
from components.compress.pruning.methods import Wanda
from components.compress.recover import SPARSITY, Recover, RecoverInputs
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model
from components.lib.models.sparsity import has_pattern, prunable, sparsity_of
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.sparsify import Gradual, SoftThreshold
from tests.components.interrupted import leave


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


@pytest.fixture(scope="module")
def pruned(checkpoint, shards, tmp_path_factory):
    component = Prune(
        method=Wanda(),
        pattern="2:4",
        calibration=Calibration(num_sequences=8, sequence_length=64),
    )
    inputs = PruneInputs(model=checkpoint, shards=shards)
    return component.run(inputs, tmp_path_factory.mktemp("pruned"))


@pytest.fixture
def inputs(pruned, shards, vocabulary) -> RecoverInputs:
    return RecoverInputs(model=pruned, shards=shards, vocabulary=vocabulary)


def recovering(steps: int, **changes) -> Recover:
    training = Hyperparameters(
        num_steps=steps, batch_size=8, learning_rate=0.005, **changes.pop("plan", {})
    )
    return Recover(**{"training": training, "sequence_length": 64, **changes})


def bits(model, shards) -> float:
    return HeldOut(shards, "test", 64, 16).bits_per_byte(TorchModel(load_model(model.path)))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_text_gets_likelier_and_the_zeros_and_their_pattern_stay(inputs, tmp_path, optimizer):
    after = recovering(20, plan={"optimizer": optimizer}).run(inputs, tmp_path)
    assert bits(after, inputs.shards) < bits(inputs.model, inputs.shards) - 0.05
    models = [load_model(model.path) for model in (inputs.model, after)]
    for old, new in zip(*map(prunable, models), strict=True):
        assert ((old.weight == 0) == (new.weight == 0)).all(), new.name
        assert has_pattern(new.weight, "2:4")
    told = json.loads((tmp_path / SPARSITY).read_text())
    assert {n: v["after"] for n, v in told.items()} == pytest.approx(sparsity_of(models[1]))


def test_a_dense_model_gets_sparse_while_it_trains(inputs, checkpoint, tmp_path):
    dense = inputs.model_copy(update={"model": checkpoint})
    schedule = Gradual(final_sparsity=0.4, end=0.5, every=4)
    after = recovering(16, sparsify=schedule).run(dense, tmp_path)
    found = sparsity_of(load_model(after.path))
    assert all(share == pytest.approx(0.4, abs=0.002) for share in found.values())
    assert bits(after, inputs.shards) < bits(checkpoint, inputs.shards) + 0.05


def test_a_penalty_makes_zeros_too(inputs, checkpoint, tmp_path):
    dense = inputs.model_copy(update={"model": checkpoint})
    after = recovering(16, sparsify=SoftThreshold(strength=0.2)).run(dense, tmp_path)
    assert min(sparsity_of(load_model(after.path)).values()) > 0.02


def test_told_to_leave_it_ends_later_with_the_same_bytes(inputs, tmp_path):
    component = recovering(24, plan={"optimizer": "muon"})
    whole = component.run(inputs, made(tmp_path, "whole"))
    out = made(tmp_path, "halves")
    assert 0 < leave(component, inputs, out, after=5) < 24
    again = component.run(inputs, out)
    weights = [(model.path / "model.safetensors").read_bytes() for model in (whole, again)]
    assert weights[0] == weights[1]


def test_a_model_without_zeros_is_refused_where_none_are_to_come(inputs, checkpoint, tmp_path):
    dense = inputs.model_copy(update={"model": checkpoint})
    with pytest.raises(ValueError, match="No layer of the model has zeros to keep"):
        recovering(4).run(dense, tmp_path)


def test_a_sequence_that_is_longer_than_the_context_is_refused(inputs, tmp_path):
    with pytest.raises(ValueError, match="longer than the context of the model, 256 tokens"):
        recovering(4, sequence_length=512).run(inputs, tmp_path)
