"""The learning rate against the formula of each schedule."""

import math

import pytest

from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.schedule import learning_rate_share

SCHEDULES = ("wsd", "cosine", "linear", "constant")


def shares(schedule: str, num_steps: int, warmup: float = 0.1, decay: float = 0.4) -> list[float]:
    training = Hyperparameters(
        num_steps=num_steps,
        batch_size=1,
        learning_rate=0.1,
        schedule=schedule,
        warmup_fraction=warmup,
        decay_fraction=decay,
    )
    return [learning_rate_share(training, step) for step in range(num_steps)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_rises_linearly_to_the_peak_first(schedule):
    assert shares(schedule, 100)[:10] == pytest.approx([step / 10 for step in range(1, 11)])


def test_wsd_stays_at_the_peak_and_falls_to_almost_nothing():
    expected = [1.0] * 50 + [1 - step / 40 for step in range(40)]
    assert shares("wsd", 100)[10:] == pytest.approx(expected)


def test_cosine_falls_along_half_a_wave_from_the_end_of_the_rise_to_zero_behind_the_last_step():
    """Loshchilov and Hutter 2017, equation 5, without restarts: t runs from 0 to T."""
    expected = [(1 + math.cos(math.pi * t / 91)) / 2 for t in range(91)]
    assert shares("cosine", 100)[9:] == pytest.approx(expected)


def test_linear_falls_in_equal_steps_from_the_end_of_the_rise_to_zero_behind_the_last_step():
    assert shares("linear", 100)[9:] == pytest.approx([1 - t / 91 for t in range(91)])


def test_constant_stays_at_the_peak():
    assert shares("constant", 100)[9:] == [1.0] * 91


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("decay", [0.0, 0.4, 1.0])
def test_short_runs_and_extreme_fractions_have_a_rate_between_0_and_1(
    schedule, num_steps, warmup, decay
):
    found = shares(schedule, num_steps, warmup, decay)
    assert all(0 < share <= 1 for share in found), "a step with no learning rate is wasted"
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True), "it rises again"


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_only_step_of_a_training_is_taken_at_the_peak(schedule):
    assert shares(schedule, 1, 0.0, 0.0) == [1.0]
