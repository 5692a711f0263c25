"""Killed as often as you like, on one process or two, a training ends as if nothing had been."""

import json
import signal

import numpy as np
import pytest
import torch

from components.lib.ledger import chain as ledgers
from components.lib.models.folders import load_model
from tests.components.lib.toy import (
    ROUNDING,
    Child,
    assert_same_training,
    column,
    committed,
    ledger,
    losses,
    plan,
    points,
    processes,
    train,
    weights,
)

KILLED = -signal.SIGKILL


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    left, right = (torch.cat([w.flatten() for w in weights.values()]) for weights in (one, other))
    return float((left - right).norm() / right.norm())


def assert_about_the_same_training(one, other, rounding=ROUNDING):
    """The same data to the last bit; the losses but for the order of sums."""
    assert ledger(one) == ledger(other)
    assert [step for step, _ in points(one)] == [step for step, _ in points(other)]
    assert losses(one) == pytest.approx(losses(other), rel=rounding)


def test_killed_ten_times_at_random_it_ends_with_the_same_bits(tmp_path):
    """SIGKILL also hits while a checkpoint is being written: at most that and one more are lost."""
    training = plan(num_steps=64, checkpoint_every=2)
    train(tmp_path / "whole", training=training)
    random, begun = np.random.default_rng(0), 0
    for _ in range(10):
        dies_at = int(random.integers(5, 9))
        assert processes(Child(tmp_path / "killed", training, dies_at)) == [KILLED]
        died = begun + dies_at
        assert len(ledgers.read(tmp_path / "killed")) == died
        begun = committed(tmp_path / "killed")[-1]
        assert died - 4 <= begun <= died
    assert processes(Child(tmp_path / "killed", training)) == [0]
    assert_same_training(tmp_path / "whole", tmp_path / "killed")
    assert list(losses(tmp_path / "killed")) == list(range(1, 65))
    for name in ("tokens", "training_seconds"):
        found = spooled(tmp_path / "killed", name)
        assert found == sorted(set(found)), name


def spooled(out, name: str) -> list[float]:
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    read = [json.loads(line)["metrics"] for line in lines if line.strip()]
    return [point[name] for point in read if name in point]


def test_with_dropout_too(tmp_path):
    train(tmp_path / "whole", dropout=0.2)
    for dies_at in (8, 6):
        child = Child(tmp_path / "killed", plan(), dies_at, dropout=0.2)
        assert processes(child) == [KILLED]
    assert processes(Child(tmp_path / "killed", plan(), dropout=0.2)) == [0]
    assert_same_training(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("dies_at", [13, 16, 18])
def test_killed_among_bad_data_or_behind_the_return_from_it(tmp_path, dies_at):
    """Draws 11 to 15 are bad: 16 is the first behind the return to step 10."""
    bad = (3, *range(11, 16))
    assert processes(Child(tmp_path / "whole", plan(), bad=bad)) == [0]
    assert column(tmp_path / "whole", "optimizer.rollbacks")[-1] == 1
    assert column(tmp_path / "whole", "optimizer.skipped_steps")[-1] == 6
    assert processes(Child(tmp_path / "killed", plan(), dies_at, bad=bad)) == [KILLED]
    assert processes(Child(tmp_path / "killed", plan(), bad=bad)) == [0]
    assert_same_training(tmp_path / "whole", tmp_path / "killed")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process that nothing happens to."""
    out = tmp_path_factory.mktemp("alone")
    train(out, training=TRAINING)
    return out


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two processes that nothing happens to."""
    out = tmp_path_factory.mktemp("both")
    assert pair(out) == [0, 0]
    return out


TRAINING = plan(num_steps=21, checkpoint_every=3, micro_batch_size=3)


def pair(out, dies_at=-1, victim=0, by=signal.SIGKILL):
    group = [Child(out, TRAINING, dies_at if rank == victim else -1, by) for rank in range(2)]
    return processes(*group)


def test_two_processes_train_as_one_does(alone, both):
    assert_about_the_same_training(both, alone)
    assert column(both, "tokens") == column(alone, "tokens")
    norms = column(alone, "optimizer.gradient_norm")
    assert column(both, "optimizer.gradient_norm") == pytest.approx(norms, rel=5 * ROUNDING)
    assert distance(weights(both), weights(alone)) < 5 * ROUNDING


def test_killed_in_turn_two_processes_end_as_if_nothing_had_been(tmp_path, both):
    for dies_at, victim in ((7, 0), (8, 1), (7, 0)):
        codes = pair(tmp_path, dies_at, victim)
        assert codes[victim] == KILLED
        assert committed(tmp_path)
    assert pair(tmp_path) == [0, 0]
    assert_about_the_same_training(tmp_path, both, 1e-6)
    assert distance(weights(tmp_path), weights(both)) < 1e-6


@pytest.mark.parametrize("first", [1, 2])
def test_another_number_of_processes_goes_on_with_the_same_batches(tmp_path, alone, first):
    if first == 2:
        assert pair(tmp_path, dies_at=8)[0] == KILLED
        assert processes(Child(tmp_path, TRAINING)) == [0]
    else:
        assert processes(Child(tmp_path, TRAINING, dies_at=8)) == [KILLED]
        assert pair(tmp_path) == [0, 0]
    assert_about_the_same_training(tmp_path, alone)


def test_told_to_leave_one_of_two_processes_takes_the_other_along(tmp_path, both):
    """The processes ask each other, so both leave at the same step and save it together."""
    codes = pair(tmp_path, dies_at=7, victim=1, by=signal.SIGTERM)
    assert 1 in codes, "Preempted leaves with 1"
    assert committed(tmp_path)[-1] == 8
    assert pair(tmp_path) == [0, 0]
    assert_about_the_same_training(tmp_path, both, 1e-6)


def test_sharded_over_two_processes_it_is_the_same_training_and_one_can_take_it_over(tmp_path):
    sharded = {"BLOOMERY_DATA_PARALLEL": "shard"}
    training = plan(num_steps=8, checkpoint_every=2, micro_batch_size=5)
    train(tmp_path / "alone", training=training)

    first, other = (Child(tmp_path / "cut", training, dies_at) for dies_at in (6, -1))
    assert processes(first, other, **sharded)[0] == KILLED
    assert len(list((tmp_path / "cut" / "checkpoints").glob("step_*/__*.distcp"))) >= 4
    assert processes(Child(tmp_path / "cut", training)) == [0]
    assert_about_the_same_training(tmp_path / "cut", tmp_path / "alone")

    assert processes(*[Child(tmp_path / "whole", training)] * 2, **sharded) == [0, 0]
    assert_about_the_same_training(tmp_path / "whole", tmp_path / "alone")
    assert weights(tmp_path / "whole").keys() == weights(tmp_path / "alone").keys()
    left, right = weights(tmp_path / "whole"), weights(tmp_path / "alone")
    assert distance(left, right) < 5 * ROUNDING
    saved = load_model(tmp_path / "whole" / "model")
    assert saved.lm_head.weight is saved.model.embed_tokens.weight
    assert all(torch.equal(value, left[name]) for name, value in saved.state_dict().items())


def test_a_milestone_is_kept_where_no_checkpoint_is_due(tmp_path):
    train(tmp_path, training=plan(num_steps=8, checkpoint_every=5, milestone_every=3))
    kept = sorted(folder.name for folder in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_00000003", "step_00000006"]
