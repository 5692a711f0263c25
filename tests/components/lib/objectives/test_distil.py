"""Distillation: its loss by the formula, from a teacher beside it or from scores that were kept."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from components.lib.examples.batches import IGNORED, Batch
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.buckets import log_buckets
from components.lib.objectives.distil import (
    Distillation,
    DistillationOptions,
    MixtureDistillation,
    distillation_of,
    divergence,
)
from components.lib.objectives.next_token import NextToken
from components.lib.objectives.objective import LossOptions
from components.lib.objectives.teachers import LiveTeacher, likeliest
from components.lib.training.accumulate import backward
from components.lib.training.parallel import Losses
from tests.components.lib.toy import ROUNDING

V = 40


def decoder(seed: int, architecture: str = "llama"):
    shape = Shape(
        architecture=architecture,
        width=32,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        max_length=32,
        num_experts=2,
    )
    model = build_model(shape, V, SpecialIds(0, 1), seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def batch() -> Batch:
    ids = np.random.default_rng(0).integers(2, V, size=(6, 13))
    targets = ids[:, 1:].copy()
    targets[0, 3:] = IGNORED
    targets[4, :2] = IGNORED
    return Batch(ids[:, :-1].copy(), targets)


def in_buckets(logits: torch.Tensor, ids: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the probabilities of the tokens `ids`, and of all others together."""
    shares = (logits.double() / temperature).softmax(1)
    chosen = shares.gather(1, ids)
    return torch.cat([chosen, 1 - chosen.sum(1, keepdim=True)], 1)


def kl(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.where(one > 0, one * (one / other).log(), 0.0).sum(1)


FORMULAS = {
    "forward_kl": lambda p, q: kl(p, q),
    "reverse_kl": lambda p, q: kl(q, p),
    "jensen_shannon": lambda p, q: 0.3 * kl(p, 0.3 * p + 0.7 * q) + 0.7 * kl(q, 0.3 * p + 0.7 * q),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_divergence_is_that_of_the_likeliest_tokens_and_all_others_as_one(name, temperature):
    torch.manual_seed(0)
    teacher, student = 3 * torch.randn(50, V), 3 * torch.randn(50, V)
    taught = likeliest(teacher, 5, temperature)
    assert torch.equal(taught.ids, teacher.topk(5).indices)
    found = divergence(student, taught, DistillationOptions(name, 0.5, temperature, 0.3))
    p, q = (in_buckets(logits, taught.ids, temperature) for logits in (teacher, student))
    assert torch.allclose(found.double(), FORMULAS[name](p, q), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_with_the_whole_vocabulary_it_is_that_of_the_whole_distributions(name):
    torch.manual_seed(1)
    teacher, student = 3 * torch.randn(20, V), 3 * torch.randn(20, V)
    options = DistillationOptions(name, 0.5, 1.0, 0.3)
    whole = FORMULAS[name](teacher.double().softmax(1), student.double().softmax(1))
    found = divergence(student, likeliest(teacher, 1000), options)
    assert torch.allclose(found.double(), whole, rtol=1e-4, atol=1e-6)
    cut = divergence(student, likeliest(teacher, 4), options)
    assert (cut.double() <= whole + 1e-6).all()
    assert float(cut.mean()) < 0.99 * float(whole.mean())
    if name == "forward_kl":
        of_torch = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="none").sum(1)
        assert torch.allclose(found, of_torch, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("number", [1, 7, V])
def test_the_gradient_of_the_buckets_is_the_one_that_autograd_finds(number):
    torch.manual_seed(2)
    logits = (4 * torch.randn(30, V)).requires_grad_()
    ids = torch.stack([torch.randperm(V)[:number] for _ in range(30)])
    weights = torch.randn(30, number + 1)
    weights[:, -1] *= number < V
    found = log_buckets(logits, ids, 1.7)
    (found[:, : number + (number < V)] * weights[:, : number + (number < V)]).sum().backward()
    again = logits.detach().double().requires_grad_()
    plain = (again / 1.7).log_softmax(1)
    rest = plain.scatter(1, ids, -torch.inf)
    total = (plain.gather(1, ids) * weights[:, :-1]).sum()
    if number < V:
        total = total + (rest.logsumexp(1) * weights[:, -1]).sum()
    total.backward()
    assert torch.allclose(logits.grad.double(), again.grad, rtol=1e-3, atol=1e-5)


def test_the_loss_weighs_text_and_teacher_and_counts_only_what_is_to_be_learnt(batch):
    student, teacher = decoder(0), decoder(1)
    options = DistillationOptions("forward_kl", alpha=0.3, temperature=2.0)
    objective = Distillation(LiveTeacher(teacher, 6, 2.0), options)
    terms = objective(student, batch)
    assert objective.count(batch) == dict.fromkeys(terms, int((batch.targets != IGNORED).sum()))
    plain = NextToken()(student, batch)["cross_entropy"]
    assert terms["cross_entropy"].item() == pytest.approx(0.7 * plain.item(), rel=ROUNDING)
    has_target = torch.from_numpy(batch.targets != IGNORED)
    with torch.no_grad():
        ours, theirs = (
            model(input_ids=torch.from_numpy(batch.inputs)).logits[has_target]
            for model in (student, teacher)
        )
    ids = theirs.topk(6).indices
    expected = kl(in_buckets(theirs, ids, 2.0), in_buckets(ours, ids, 2.0)).sum()
    found = terms["distillation"].item()
    assert found == pytest.approx(0.3 * 4 * float(expected), rel=2 * ROUNDING)


@pytest.mark.parametrize("architecture", ["llama", "moe"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(batch, architecture):
    teacher = LiveTeacher(decoder(1), 6)

    def gradient(parts: int) -> tuple[dict[str, float], torch.Tensor]:
        torch.manual_seed(0)
        student = decoder(0, architecture)
        objective = distillation_of(student)(teacher, DistillationOptions(), LossOptions(1e-3))
        is_mixture = architecture == "moe"
        assert isinstance(objective, MixtureDistillation) == is_mixture
        found = backward(Losses(student, objective), batch, objective.count(batch), parts)
        gradients = [p.grad.flatten() for p in student.parameters() if p.grad is not None]
        return {name: term.item() for name, term in found.items()}, torch.cat(gradients)

    whole, parts = gradient(1), gradient(4)
    assert {"cross_entropy", "distillation", "z_loss"} <= whole[0].keys()
    assert parts[0] == pytest.approx(whole[0], rel=ROUNDING)
    assert float((whole[1] - parts[1]).norm() / whole[1].norm()) < 2 * ROUNDING


def test_a_student_that_says_what_its_teacher_says_has_nothing_left_to_learn(batch):
    model = decoder(0)
    for name in FORMULAS:
        options = DistillationOptions(name, alpha=1.0)
        terms = Distillation(LiveTeacher(model, 8), options)(model, batch)
        assert terms["cross_entropy"].item() == 0
        assert terms["distillation"].item() / batch.num_targets() < 1e-4
