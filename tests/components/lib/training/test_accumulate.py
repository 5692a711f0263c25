"""A batch in parts has the gradient of the whole, and each target weighs the same."""

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED, Batch
from components.lib.group import Group
from components.lib.objectives.next_token import NextToken
from components.lib.training.accumulate import backward, num_parts, share
from components.lib.training.parallel import Losses
from tests.components.lib.toy import ROUNDING, Echoes, model


def random_weights(seed: int = 3):
    """Return a model whose every projection does something."""
    changed = model()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return changed


def gradient(changed) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in changed.parameters()])


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def of(changed, batch: Batch, parts: int = 1, objective=None, whole: Batch | None = None):
    """Return the terms of the loss of `batch` in parts, a share of `whole`."""
    objective = objective or NextToken()
    counts = objective.count(whole or batch)
    terms = backward(Losses(changed, objective), batch, counts, parts)
    return {name: term.item() for name, term in terms.items()}


def uneven() -> Batch:
    """Return 32 examples: eight with one target, the others with up to 24."""
    batch = Echoes().batch(np.arange(32))
    batch.targets[:8, 1:] = IGNORED
    return batch


def logits_of(changed, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        return changed(input_ids=torch.from_numpy(batch.inputs)).logits.double().numpy()


def test_the_loss_is_the_mean_negative_log_probability_of_the_targets_that_count():
    changed, batch = random_weights(), Echoes().batch(np.arange(8))
    found = of(changed, batch)
    logits = logits_of(changed, batch)
    nats = [
        -float(np.log(np.exp(logits[row, place, target]) / np.exp(logits[row, place]).sum()))
        for row, targets in enumerate(batch.targets)
        for place, target in enumerate(targets)
        if target != -100
    ]
    assert len(nats) == 6 * 24 + 2 * 3
    assert found == {"cross_entropy": pytest.approx(np.mean(nats), rel=ROUNDING)}


@pytest.mark.parametrize("parts", [2, 4, 7, 32])
def test_many_small_batches_have_the_gradient_of_the_large_one(parts):
    """transformers#35203: the mean of the means is another gradient if token counts differ."""
    whole, cut, batch = random_weights(), random_weights(), uneven()
    large, small = of(whole, batch), of(cut, batch, parts)
    assert small == pytest.approx(large, rel=ROUNDING)
    assert distance(gradient(cut), gradient(whole)) < ROUNDING


def test_the_mean_of_the_means_would_have_failed_that_test():
    batch, whole, naive = uneven(), random_weights(), random_weights()
    of(whole, batch)
    for start in range(0, 32, 4):
        of(naive, batch.rows(slice(start, start + 4)))
    assert distance(gradient(naive) / 8, gradient(whole)) > 5 * ROUNDING


def test_the_shares_of_processes_add_up_to_the_batch_whatever_their_number():
    batch = uneven()
    whole, apart = random_weights(), random_weights()
    loss = of(whole, batch)["cross_entropy"]
    for size in (2, 3, 5):
        apart.zero_grad()
        shares = [share(batch, Group(rank, size)) for rank in range(size)]
        assert sorted(len(one) for one in shares) == sorted(
            len(range(r, 32, size)) for r in range(size)
        )
        found = [of(apart, one, 2, whole=batch)["cross_entropy"] for one in shares]
        assert sum(found) == pytest.approx(loss, rel=ROUNDING)
        assert distance(gradient(apart), gradient(whole)) < ROUNDING


@pytest.mark.parametrize("parts", [1, 5])
def test_the_penalty_on_the_normaliser_is_its_formula_and_simply_added(parts):
    """PaLM: z x log^2 Z, the mean over the targets that count."""
    changed, batch = random_weights(), uneven()
    found = of(changed, batch, parts, NextToken(z_loss=0.5))
    both = gradient(changed)
    logits = logits_of(changed, batch)[batch.targets != IGNORED]
    penalty = 0.5 * float((np.log(np.exp(logits).sum(-1)) ** 2).mean())
    assert found["z_loss"] == pytest.approx(penalty, rel=ROUNDING)
    plain, doubled = random_weights(), random_weights()
    assert of(plain, batch, parts) == {
        "cross_entropy": pytest.approx(found["cross_entropy"], rel=1e-6)
    }
    of(doubled, batch, parts, NextToken(z_loss=1.0))
    # gradients are linear in the weight of the penalty
    left, right = gradient(doubled) - both, both - gradient(plain)
    assert distance(left, right) < 2 * ROUNDING
    assert right.norm() > 0.1 * gradient(plain).norm(), "the penalty does nothing, so this is idle"


@pytest.mark.parametrize("parts", [1, 5])
def test_smoothed_labels_have_the_loss_of_their_formula(parts):
    """Szegedy et al. 2016: (1 - e) of the target and e of the mean over the vocabulary."""
    changed, batch = random_weights(), uneven()
    found = of(changed, batch, parts, NextToken(label_smoothing=0.3))
    counted = batch.targets != IGNORED
    logits = logits_of(changed, batch)[counted]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    right = logs[np.arange(len(logs)), batch.targets[counted]]
    expected = -(0.7 * right + 0.3 * logs.mean(-1)).mean()
    assert found["cross_entropy"] == pytest.approx(float(expected), rel=ROUNDING)


def test_a_part_without_examples_of_its_own_changes_nothing():
    """Sharded processes call the model equally often; one that has fewer examples computes idle."""
    batch = uneven().rows(slice(6, 9))
    whole, idle = random_weights(), random_weights()
    calls = []
    idle.register_forward_pre_hook(lambda *_: calls.append(1))
    assert of(idle, batch, 5) == pytest.approx(of(whole, batch, 3), rel=1e-6)
    assert len(calls) == 5
    assert distance(gradient(idle), gradient(whole)) < 1e-6


def test_a_share_without_any_target_has_no_loss_and_no_gradient():
    batch = Echoes().batch(np.arange(3))
    batch.targets[:] = IGNORED
    changed = random_weights()
    assert of(changed, batch, 2) == {"cross_entropy": 0.0}
    assert not gradient(changed).any()


def test_what_follows_the_last_target_is_not_computed_and_changes_nothing():
    """Padding costs nothing: a micro-batch is as wide as its last target."""
    batch = Echoes().batch(np.arange(1, 4))
    padded = Batch(
        np.pad(batch.inputs, ((0, 0), (0, 30)), constant_values=1),
        np.pad(batch.targets, ((0, 0), (0, 30)), constant_values=IGNORED),
    )
    short, long = random_weights(), random_weights()
    widths = []
    long.register_forward_pre_hook(
        lambda _, __, inputs: widths.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    assert of(short, batch, 2) == of(long, padded, 2)
    assert torch.equal(gradient(short), gradient(long))
    assert widths == [24, 24]


@pytest.mark.parametrize(
    ("examples", "size", "at_once", "parts"),
    [(32, 1, 1024, 1), (32, 1, 8, 4), (32, 1, 7, 5), (33, 2, 8, 3), (2, 2, 1, 1), (5, 4, 1, 2)],
)
def test_all_processes_compute_in_as_many_parts_as_the_fullest_needs(
    examples, size, at_once, parts
):
    assert num_parts(examples, Group(0, size), at_once) == parts
