"""What a machine may do to a model for speed or memory, and what it computes all the same."""

import numpy as np
import pytest
import torch

from components.core.settings import settings
from components.lib.group import Group
from components.lib.objectives.next_token import NextToken
from components.lib.training.accumulate import backward
from components.lib.training.parallel import losses, prepare
from tests.components.lib.toy import ROUNDING, Echoes, model

ALONE = Group(0, 1)


def gradient() -> tuple[float, torch.Tensor]:
    """Return the loss of one batch and its gradient, on this machine as it is set."""
    torch.manual_seed(1)
    made, objective = model(), NextToken()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    prepare(made, ALONE)
    batch = Echoes().batch(np.arange(8))
    terms = backward(losses(made, objective, ALONE), batch, objective.count(batch), 2)
    return terms["cross_entropy"].item(), torch.cat([p.grad.flatten() for p in made.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ACTIVATION_CHECKPOINTING", pytest.param("COMPILE", marks=pytest.mark.prove)]
)
def test_what_saves_memory_or_time_changes_no_gradient_beyond_rounding(name, monkeypatch):
    loss, expected = gradient()
    monkeypatch.setenv(f"BLOOMERY_{name}", "true")
    settings.cache_clear()
    found_loss, found = gradient()
    assert found_loss == pytest.approx(loss, rel=ROUNDING)
    assert float((found - expected).norm() / expected.norm()) < 2 * ROUNDING


def test_activation_checkpointing_computes_every_block_twice(monkeypatch):
    monkeypatch.setenv("BLOOMERY_ACTIVATION_CHECKPOINTING", "true")
    settings.cache_clear()
    made, objective = model(), NextToken()
    prepare(made, ALONE)
    calls = []
    made.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    batch = Echoes().batch(np.arange(8))
    backward(losses(made, objective, ALONE), batch, objective.count(batch), 1)
    assert len(calls) == 2
