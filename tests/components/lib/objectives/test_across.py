"""Distillation between vocabularies: by the formula, whatever the batch is cut into."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from components.lib.examples.aligned import (
    ALIGNED,
    INPUTS,
    STUDENT_CHUNKS,
    TARGETS,
    TEACHER_CHUNKS,
    AlignedText,
)
from components.lib.examples.windows import Windows
from components.lib.models.folders import load_model
from components.lib.objectives.across import AcrossVocabularies
from components.lib.text.token_bytes import TokenBytes
from components.lib.training.accumulate import backward
from components.lib.training.parallel import Losses
from tests.components.lib.toy import ROUNDING

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[2] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


@pytest.fixture
def teacher(tmp_path) -> Path:
    return foreign.smol(tmp_path / "teacher")


@pytest.fixture
def batch(shards, vocabulary, teacher):
    windows = Windows(shards.path / "train", 24)
    return AlignedText(windows, vocabulary.path, teacher, 256).batch(np.arange(0, 60, 10))


@pytest.fixture
def objective(vocabulary, teacher):
    tables = (TokenBytes.of(vocabulary.path), TokenBytes.of(teacher))
    return AcrossVocabularies(load_model(teacher), tables, alpha=0.4)


@torch.no_grad()
def by_the_formula(model, other, tables, batch) -> tuple[float, float]:
    """Return both terms before they are weighed, place by place and chunk by chunk."""
    ours, theirs = (
        each(input_ids=torch.from_numpy(ids)).logits.double().softmax(-1).numpy()
        for each, ids in ((model, batch.inputs), (other, batch.extras[INPUTS]))
    )
    piece = chunk_loss = 0.0
    for row in range(len(batch)):
        for place, there in enumerate(batch.extras[ALIGNED][row].tolist()):
            if there < 0:
                continue
            sums = []
            common = set(tables[0].tokens) & set(tables[1].tokens)
            for table, shares in zip(tables, (ours[row, place], theirs[row, there]), strict=True):
                found: dict[object, float] = {}
                for index, share in enumerate(shares.tolist()):
                    token = table.tokens[index] if index < len(table.tokens) else b""
                    begins = [token[:n] for n in range(1, len(token) + 1)]
                    kind = max((each for each in begins if each in common), key=len, default="")
                    kind = "end" if index == table.end else kind
                    found[kind] = found.get(kind, 0.0) + share
                sums.append(found)
            student, said = sums
            piece += sum(p * math.log(p / student[kind]) for kind, p in said.items())
        left, right = batch.extras[STUDENT_CHUNKS][row], batch.extras[TEACHER_CHUNKS][row]
        for chunk in sorted(set(left.tolist()) & set(right.tolist()) - {-1}):
            q = math.prod(
                ours[row, i, batch.targets[row, i]] for i in np.flatnonzero(left == chunk)
            )
            targets = batch.extras[TARGETS][row]
            p = math.prod(theirs[row, j, targets[j]] for j in np.flatnonzero(right == chunk))
            chunk_loss += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    return piece, chunk_loss


def test_both_terms_are_what_the_formulas_say_of_every_place_and_chunk(
    checkpoint, vocabulary, teacher, batch, objective
):
    student, other = load_model(checkpoint.path), load_model(teacher)
    tables = (TokenBytes.of(vocabulary.path), TokenBytes.of(teacher))
    piece, chunk = by_the_formula(student, other, tables, batch)
    terms, counts = objective(student, batch), objective.count(batch)
    assert terms["piece"].item() == pytest.approx(0.4 * piece, rel=2 * ROUNDING)
    assert terms["chunk"].item() == pytest.approx(0.4 * chunk, rel=2 * ROUNDING)
    assert counts["piece"] == int((batch.extras[ALIGNED] >= 0).sum())
    assert counts["chunk"] > 10 * len(batch)
    assert counts["cross_entropy"] == batch.targets.size


def test_a_batch_in_parts_has_the_gradient_of_the_whole(checkpoint, batch, objective):
    def gradient(parts: int) -> tuple[dict[str, float], torch.Tensor]:
        student = load_model(checkpoint.path)
        found = backward(Losses(student, objective), batch, objective.count(batch), parts)
        flat = torch.cat([p.grad.flatten() for p in student.parameters()])
        return {name: term.item() for name, term in found.items()}, flat

    whole, parts = gradient(1), gradient(3)
    assert parts[0] == pytest.approx(whole[0], rel=ROUNDING)
    assert float((whole[1] - parts[1]).norm() / whole[1].norm()) < 2 * ROUNDING


def test_a_model_that_is_its_own_teacher_has_nothing_to_learn_from_it(checkpoint, shards):
    table = TokenBytes.of(checkpoint.path)
    windows = Windows(shards.path / "train", 24)
    text = AlignedText(windows, checkpoint.path, checkpoint.path, 256)
    batch = text.batch(np.arange(4))
    model = load_model(checkpoint.path)
    terms = AcrossVocabularies(load_model(checkpoint.path), (table, table), 1.0)(model, batch)
    assert terms["cross_entropy"].item() == 0
    most = batch.extras[ALIGNED].size
    assert terms["piece"].item() / most < 0.05
    assert terms["chunk"].item() / most < 0.05
