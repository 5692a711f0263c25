"""Steps are refused for a good reason, and no others."""

import json
import math

import numpy as np
import pytest

from components.lib.training.spikes import SpikeGuard


def curve(num: int, seed: int = 0) -> list[tuple[float, float]]:
    """Return losses from 10 to 2 with a noise of 3 percent, norms around 0.5 with one of 15."""
    random = np.random.default_rng(seed)
    losses = (2 + 8 * np.exp(-np.arange(num) / 150)) * np.exp(0.03 * random.standard_normal(num))
    norms = 0.5 * np.exp(0.15 * random.standard_normal(num))
    return list(zip(losses.tolist(), norms.tolist(), strict=True))


def fed(points: list[tuple[float, float]]) -> SpikeGuard:
    guard = SpikeGuard(6.0)
    for point in points:
        guard.accepts(*point)
    return guard


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("num_before", [0, 200])
def test_what_is_not_finite_is_refused_and_not_remembered(bad, num_before):
    guard = fed(curve(num_before))
    before = list(guard.history)
    assert not guard.accepts(bad, 0.5)
    assert not guard.accepts(2.0, bad)
    assert guard.history == before
    assert guard.accepts(*curve(num_before + 1)[-1])


@pytest.mark.parametrize("which", ["loss", "norm"])
def test_a_spike_of_either_is_refused_by_the_stated_formula(which):
    history = curve(500)[-128:]
    values = [point[0 if which == "loss" else 1] for point in history]
    mean = sum(values) / 128
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 127)
    for factor, is_accepted in ((5.99, True), (6.01, False)):
        loss, norm = history[-1]
        value = mean + factor * deviation
        point = (value, norm) if which == "loss" else (loss, value)
        assert SpikeGuard(6.0, history).accepts(*point) == is_accepted


def test_only_the_last_128_steps_count():
    early, late = [(1000.0, 1000.0)] * 300, curve(128)
    guard = fed([*early, *late])
    assert guard.history == late
    assert not guard.accepts(100.0, 0.5)


def test_before_64_steps_nothing_is_known_and_nothing_finite_refused():
    assert fed(curve(63)).accepts(1e6, 1e6)
    assert not fed(curve(64)).accepts(1e6, 0.5)


def test_a_noisy_falling_curve_has_no_false_refusal():
    for seed in range(3):
        guard = SpikeGuard(6.0)
        assert all(guard.accepts(*point) for point in curve(600, seed)), seed


@pytest.mark.parametrize("value", [0.1, 0.3, 2.7, 1 / 3, 1e-7])
def test_a_curve_that_does_not_move_has_no_false_refusal(value):
    guard = SpikeGuard(6.0)
    assert all(guard.accepts(value, value) for _ in range(200))


def test_a_lasting_rise_is_a_new_level_and_not_refused_for_ever():
    guard = fed(curve(300))
    assert sum(not guard.accepts(6.0, 0.5) for _ in range(100)) < 10


def test_the_history_goes_through_json_exactly_and_judges_on():
    points = curve(300)
    guard = fed(points[:200])
    read = json.loads(json.dumps(guard.history))
    resumed = SpikeGuard(6.0, read)
    assert [tuple(point) for point in resumed.history] == guard.history
    for point in [*points[200:], (1e3, 0.5), (2.1, 1e3), *points[200:]]:
        assert resumed.accepts(*point) == guard.accepts(*point)
    assert [tuple(point) for point in resumed.history] == guard.history
