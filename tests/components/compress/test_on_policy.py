"""OnPolicyDistil: what a student writes becomes what its teacher would write."""

import json
import shutil
from pathlib import Path

import pytest

from components.compress.on_policy import OnPolicyDistil, OnPolicyDistilInputs
from components.core.settings import settings
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import Hyperparameters
from tests.components.interrupted import leave


@pytest.fixture
def inputs(checkpoint, instruct, instructions) -> OnPolicyDistilInputs:
    return OnPolicyDistilInputs(student=checkpoint, teacher=instruct, instructions=instructions)


def distilled(number: int, **changes) -> OnPolicyDistil:
    training = Hyperparameters(
        num_steps=number, batch_size=16, learning_rate=0.005, log_every=5, evaluate_every=1000
    )
    return OnPolicyDistil(**{"training": training, "max_new_tokens": 8, **changes})


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def column(points, name: str) -> list[float]:
    return [point[name] for _, point in points if name in point]


def test_from_its_own_answers_alone_a_student_learns_what_its_teacher_says(
    inputs, tmp_path, read_spool
):
    distilled(25, share=1.0, divergence="reverse_kl").run(inputs, tmp_path)
    points = read_spool(tmp_path)
    losses = column(points, "loss")
    assert losses[-1] < 0.2 * losses[0]
    ended = column(points, "model.answers_ended")
    assert ended[0] < 0.5 < ended[-1]
    assert column(points, "validation_loss")[-1] < 1.5


@pytest.mark.parametrize("lora", [None, LoRA(rank=4)])
def test_told_to_leave_it_ends_later_as_if_nothing_had_been(inputs, tmp_path, lora):
    component = distilled(12, lora=lora)
    whole = component.run(inputs, made(tmp_path, "whole"))
    out = made(tmp_path, "halves")
    assert 0 < leave(component, inputs, out, after=4) < 12
    again = component.run(inputs, out)
    for name in ("model.safetensors", "ledger.jsonl"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_teacher_of_other_tokens_or_answers_that_do_not_fit_are_refused(inputs, tmp_path):
    folder = tmp_path / "teacher"
    shutil.copytree(inputs.teacher.path, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    ids = tokenizer["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    teacher = inputs.teacher.model_copy(update={"path": folder})
    with pytest.raises(ValueError, match=r"cannot read what the student writes: 2 of 512"):
        distilled(2).run(inputs.model_copy(update={"teacher": teacher}), tmp_path)
    with pytest.raises(ValueError, match=r"leaves room for 250 tokens in a context of 256"):
        distilled(2, max_new_tokens=250).run(inputs, tmp_path)


def test_a_student_that_would_be_sharded_is_refused_before_anything_runs(
    inputs, tmp_path, monkeypatch
):
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "2")
    monkeypatch.setenv("BLOOMERY_DATA_PARALLEL", "shard")
    settings.cache_clear()
    with pytest.raises(ValueError, match="Set BLOOMERY_DATA_PARALLEL=replicate"):
        distilled(2).run(inputs, tmp_path)
