"""Distil: a student of half the layers learns more from its teacher than it would alone."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch

from components.compress.distil import Distil, DistilInputs
from components.compress.teacher import TeacherLogits, TeacherLogitsInputs
from components.core.artifacts.data import TeacherScores
from components.core.artifacts.models import Checkpoint
from components.core.settings import settings
from components.data.tokenize import Tokenize, TokenizeInputs
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.models.fewer_layers import with_layers
from components.lib.models.folders import load_model
from components.lib.models.student import CopiedLayers, NewShape
from components.lib.training.hyperparameters import DialledHyperparameters, Hyperparameters
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles
from components.pretrain.train import Train, TrainInputs
from tests.components.interrupted import leave

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[1] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)

SIZES = {"width": 64, "num_heads": 2, "max_length": 128}


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
def inputs(shards, vocabulary, tmp_path_factory) -> DistilInputs:
    """A teacher of four layers that has read the text a few times."""
    teacher = alone(4, 120, shards, vocabulary, tmp_path_factory.mktemp("teacher"))
    return DistilInputs(teacher=teacher, shards=shards, vocabulary=vocabulary)


@pytest.fixture(scope="module")
def scores(inputs, tmp_path_factory) -> TeacherScores:
    asked = TeacherLogitsInputs(**inputs.model_dump(exclude={"scores"}))
    out = tmp_path_factory.mktemp("scores")
    return TeacherLogits(sequence_length=64, num_draws=640).run(asked, out)


def flat(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def held_out_bits(model: Checkpoint, shards) -> float:
    return HeldOut(shards, "test", 64, 64).bits_per_byte(TorchModel(load_model(model.path)))


def test_at_equal_steps_a_student_of_half_the_depth_is_better_than_the_same_shape_alone(
    inputs, scores, tmp_path, read_spool
):
    shards, vocabulary = inputs.shards, inputs.vocabulary
    taught = inputs.model_copy(update={"scores": scores})
    students = {"copied": CopiedLayers(), "new": NewShape(depth=2, **SIZES)}
    bits = {"alone": held_out_bits(alone(2, 40, shards, vocabulary, made(tmp_path, "a")), shards)}
    for name, student in students.items():
        component = Distil(student=student, training=steps(40), sequence_length=64)
        found = component.run(taught, made(tmp_path, name))
        bits[name] = held_out_bits(found, shards)
        assert len(load_model(found.path).model.layers) == 2
    assert bits["copied"] < bits["alone"] - 0.2
    assert bits["new"] < bits["alone"] - 0.03
    points = [point for _, point in read_spool(tmp_path / "copied") if "loss.distillation" in point]
    assert points[-1]["loss.distillation"] < 0.6 * points[0]["loss.distillation"]


def test_scores_that_were_kept_teach_what_a_teacher_beside_the_student_teaches(
    inputs, scores, tmp_path
):
    component = Distil(training=steps(6), sequence_length=64)
    live = component.run(inputs, made(tmp_path, "live"))
    kept = component.run(inputs.model_copy(update={"scores": scores}), made(tmp_path, "kept"))
    begun = with_layers(load_model(inputs.teacher.path), [0, 3])
    one, other = (load_model(found.path) for found in (live, kept))
    start, left, right = (flat(model) for model in (begun, one, other))
    assert float((left - right).norm()) < 0.05 * float((left - start).norm())
    assert component.fingerprint(inputs) != component.fingerprint(
        inputs.model_copy(update={"scores": scores})
    )


@pytest.mark.parametrize("is_kept", [True, False])
def test_told_to_leave_it_ends_later_as_if_nothing_had_been(inputs, scores, tmp_path, is_kept):
    taught = inputs.model_copy(update={"scores": scores if is_kept else None})
    component = Distil(training=steps(24, checkpoint_every=200), sequence_length=64)
    whole = component.run(taught, made(tmp_path, "whole"))
    out = made(tmp_path, "halves")
    assert 0 < leave(component, taught, out, after=5) < 24
    again = component.run(taught, out)
    for name in ("model.safetensors", "ledger.jsonl"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(inputs, scores, tmp_path, monkeypatch):
    component = Distil(training=steps(4), sequence_length=64)
    taught = inputs.model_copy(update={"scores": scores})
    one = component.run(taught, made(tmp_path, "one"))
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "2")
    settings.cache_clear()
    two = component.run(taught, made(tmp_path, "two"))
    assert (one.path / "ledger.jsonl").read_bytes() == (two.path / "ledger.jsonl").read_bytes()
    begun = with_layers(load_model(inputs.teacher.path), [0, 3])
    start, left, right = (
        flat(each) for each in (begun, load_model(one.path), load_model(two.path))
    )
    assert float((left - right).norm()) < 0.05 * float((left - start).norm())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 2.0}, "made with temperature=1.0 and not 2.0: set the same"),
        ({"sequence_length": 32}, "made with sequence_length=64 and not 32"),
        ({"training": steps(60)}, "sequences that the student draws were not scored"),
        ({"training": steps(40, seed=1)}, "were not scored: raise num_draws"),
    ],
)
def test_scores_of_another_setting_or_of_too_little_are_refused(
    inputs, scores, tmp_path, changes, said
):
    component = Distil(**{"training": steps(4), "sequence_length": 64, **changes})
    with pytest.raises(ValueError, match=said):
        component.run(inputs.model_copy(update={"scores": scores}), tmp_path)


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (CopiedLayers(keep_layers=5), "keep_layers=5 is more than the 4 layers of the teacher"),
        (NewShape(depth=2, max_length=32), "longer than the context of the student, 32 tokens"),
        (NewShape(depth=2, width=66, num_heads=4), "width=66 is not a multiple of num_heads=4"),
        (NewShape(depth=2, architecture="bert"), "'bert' continues no text: take a decoder"),
    ],
)
def test_a_student_that_cannot_be_made_is_refused_before_anything_runs(
    inputs, tmp_path, student, said
):
    component = Distil(student=student, training=steps(4), sequence_length=64)
    with pytest.raises(ValueError, match=said):
        component.run(inputs, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_teacher_that_cannot_read_the_tokens_or_has_other_scores_is_refused(
    inputs, scores, checkpoint, tmp_path
):
    component = Distil(training=steps(4), sequence_length=64)
    other = inputs.model_copy(update={"teacher": checkpoint, "scores": scores})
    with pytest.raises(ValueError, match=r"scores are of teacher .*score the text again"):
        component.run(other, tmp_path)
    folder = tmp_path / "teacher"
    shutil.copytree(inputs.teacher.path, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    ids = tokenizer["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    teacher = inputs.teacher.model_copy(update={"path": folder})
    with pytest.raises(ValueError, match=r"cannot read the student's tokens.*compress\.across"):
        component.run(inputs.model_copy(update={"teacher": teacher}), tmp_path)


def test_documents_are_hidden_only_where_both_models_can_hide_them(corpus, tmp_path):
    folder = foreign.smol(tmp_path / "bloom", "Bloom", template=None)
    teacher = Adopt().run(ModelFiles.of(folder), made(tmp_path, "teacher"))
    own = vocabulary_of(teacher)
    read_as = TokenizeInputs(corpus=corpus, vocabulary=own)
    shards = Tokenize().run(read_as, made(tmp_path, "shards"))
    inputs = DistilInputs(teacher=teacher, shards=shards, vocabulary=own)
    said = "documents of one sequence see each other in a Bloom"
    component = Distil(training=steps(1), sequence_length=64, document_mask=True)
    with pytest.raises(ValueError, match=said):
        component.run(inputs, made(tmp_path, "out"))
    asked = TeacherLogitsInputs(teacher=teacher, shards=shards, vocabulary=own)
    with pytest.raises(ValueError, match=said):
        TeacherLogits(sequence_length=64, document_mask=True).run(asked, made(tmp_path, "scores"))
