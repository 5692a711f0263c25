"""Golden losses: a refactoring that changes what training computes shows here first.

Recorded with bfloat16; float32 and another CPU stay within the tolerance, a changed formula does
not. Record again only with the reason in the commit message.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.core import metrics
from components.lib.architectures import SpecialIds, build_model
from components.lib.plan import Training
from components.lib.shape import Shape
from components.lib.training import Batch, fit

GOLDEN = {1: 4.2186, 10: 0.7583, 20: 0.0951, 30: 0.01}


class Stairs:
    """Sequences in which each token follows from the one before it."""

    def __len__(self) -> int:
        return 256

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        rows = (indices[:, None] + 5 * np.arange(33)) % 61
        return Batch(rows[:, :-1].copy(), rows[:, 1:].copy())


@pytest.mark.slow
def test_the_loss_curve_is_the_recorded_one(tmp_path: Path) -> None:
    shape = Shape(width=64, num_layers=2, num_heads=2, num_key_value_heads=1, max_length=32)
    model = build_model(shape, 64, SpecialIds(0, 1), seed=0)
    training = Training(num_steps=40, batch_size=32, learning_rate=0.01, log_every=1)
    fit(model, training, Stairs(), tmp_path, evaluate=lambda: {}, flops_per_token=1.0)
    points = [point for _, point in metrics.read(tmp_path) if "loss" in point["metrics"]]
    found = {p["step"]: round(p["metrics"]["loss"], 4) for p in points if p["step"] in GOLDEN}
    assert found == pytest.approx(GOLDEN, abs=0.03)
