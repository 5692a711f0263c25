"""DistilAcross: a teacher with other tokens gives a better student than none."""

import importlib.util
import json
from pathlib import Path

import pytest

from components.compress.across import DistilAcross, DistilAcrossInputs
from components.core.artifacts.data import TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model
from components.lib.models.student import NewShape
from components.lib.training.hyperparameters import DialledHyperparameters, Hyperparameters
from components.pretrain.train import Train, TrainInputs
from tests.components.interrupted import leave

SIZES = {"width": 64, "num_heads": 2, "max_length": 256}
SHAPE = NewShape(depth=2, **SIZES)

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[1] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def steps(number: int, **changes) -> Hyperparameters:
    values = {"batch_size": 16, "learning_rate": 0.01, "evaluate_every": 1000}
    return Hyperparameters(num_steps=number, **{**values, **changes})


def alone(depth: int, number: int, shards, vocabulary, out: Path) -> Checkpoint:
    training = DialledHyperparameters(**steps(number).model_dump())
    component = Train(training=training, sequence_length=64, depth=depth, **SIZES)
    return component.run(TrainInputs(shards=shards, vocabulary=vocabulary), out)


@pytest.fixture(scope="module")
def teacher(corpus, tmp_path_factory) -> Checkpoint:
    """A model of four layers with a vocabulary of its own."""
    folder = tmp_path_factory.mktemp("teacher")
    own: Vocabulary = TrainVocabulary(vocab_size=700).run(corpus, made(folder, "vocabulary"))
    inputs = TokenizeInputs(corpus=corpus, vocabulary=own)
    shards: TokenShards = Tokenize().run(inputs, made(folder, "shards"))
    return alone(4, 150, shards, own, made(folder, "model"))


@pytest.fixture
def inputs(teacher, shards, vocabulary) -> DistilAcrossInputs:
    return DistilAcrossInputs(teacher=teacher, shards=shards, vocabulary=vocabulary)


def held_out_bits(model: Checkpoint, shards) -> float:
    return HeldOut(shards, "test", 64, 64).bits_per_byte(TorchModel(load_model(model.path)))


def test_at_equal_steps_a_student_of_a_teacher_with_other_tokens_is_better_than_one_of_none(
    inputs, tmp_path
):
    shards, vocabulary = inputs.shards, inputs.vocabulary
    without = alone(2, 40, shards, vocabulary, made(tmp_path, "alone"))
    component = DistilAcross(shape=SHAPE, training=steps(40), sequence_length=64)
    taught = component.run(inputs, made(tmp_path, "taught"))
    assert held_out_bits(taught, shards) < held_out_bits(without, shards) - 0.03


def test_told_to_leave_it_ends_later_as_if_nothing_had_been(inputs, tmp_path):
    component = DistilAcross(shape=SHAPE, training=steps(16), sequence_length=64)
    whole = component.run(inputs, made(tmp_path, "whole"))
    out = made(tmp_path, "halves")
    assert 0 < leave(component, inputs, out, after=4) < 16
    again = component.run(inputs, out)
    for name in ("model.safetensors", "ledger.jsonl"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_student_that_exists_goes_on_from_where_it_is(inputs, checkpoint, tmp_path):
    going_on = inputs.model_copy(update={"student": checkpoint})
    component = DistilAcross(training=steps(2, learning_rate=1e-6), sequence_length=64)
    after = component.run(going_on, tmp_path)
    before = held_out_bits(checkpoint, inputs.shards)
    assert held_out_bits(after, inputs.shards) == pytest.approx(before, rel=1e-2)


def test_a_teacher_that_does_not_give_text_back_and_a_shape_that_does_not_fit_are_refused(
    inputs, tmp_path
):
    too_long = DistilAcross(shape=SHAPE, training=steps(2), sequence_length=512)
    with pytest.raises(ValueError, match="context of the student, 256 tokens"):
        too_long.run(inputs, tmp_path)
    folder = foreign.smol(tmp_path / "lower")
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "e"}, "content": "a"}
    file.write_text(json.dumps(tokenizer), "utf-8")
    teacher = inputs.teacher.model_copy(update={"path": folder})
    component = DistilAcross(shape=SHAPE, training=steps(2), sequence_length=64)
    with pytest.raises(ValueError, match="does not give this text back as it was"):
        component.run(inputs.model_copy(update={"teacher": teacher}), tmp_path)
