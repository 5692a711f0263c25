"""The training loop in one process: it learns, does what it was told, and survives bad data."""

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.processes.preemption import Preempted
from components.lib.examples.permutation import draw
from components.lib.ledger import chain as ledgers
from components.lib.training.fit import fit
from tests.components.lib.toy import (
    VOCABULARY,
    Poison,
    PoisonInGradient,
    Trap,
    assert_same_training,
    changed,
    column,
    committed,
    ledger,
    losses,
    model,
    plan,
    task,
    train,
    weights,
)


class Fault(Exception):
    pass


def fail():
    raise Fault


def drawn(*numbers: int) -> list[list[int]]:
    return [draw(number, 16, 200, seed=0).tolist() for number in numbers]


def test_the_loss_falls_to_what_can_be_known(tmp_path):
    examples = Trap()
    train(tmp_path, examples, plan(num_steps=80, checkpoint_every=1000))
    found = list(losses(tmp_path).values())
    assert found[0] == pytest.approx(np.log(VOCABULARY), abs=0.5)
    best = examples.entropy / 2
    assert best - 0.3 < np.mean(found[-5:]) < best + 0.35


def test_metrics_come_as_often_as_they_are_asked_for_and_at_the_end(tmp_path, read_spool):
    train(tmp_path, training=plan(num_steps=11, log_every=4, evaluate_every=3))
    found = read_spool(tmp_path)
    logged = {step: point for step, point in found if "loss" in point}
    assert list(logged) == [4, 8, 11]
    assert [step for step, point in found if "held_out" in point] == [3, 6, 9, 11]
    assert set(logged[4]) >= {
        "loss",
        "optimizer.gradient_norm",
        "optimizer.learning_rate",
        "tokens",
        "training_seconds",
        "optimizer.skipped_steps",
        "optimizer.rollbacks",
        "progress",
        "tokens_per_second",
        "peak_flops_share",
        "memory_gigabytes",
        "phase.data_seconds",
        "phase.gradient_seconds",
        "phase.optimizer_seconds",
    }
    assert "phase.checkpoint_seconds" in logged[8]
    for name in ("tokens", "training_seconds", "progress"):
        values = [point[name] for point in logged.values()]
        assert values == sorted(set(values)), name
    assert logged[11]["progress"] == 1.0


def test_tokens_are_those_of_the_examples_without_their_padding(tmp_path):
    examples = Trap()
    train(tmp_path, examples, plan(num_steps=3))
    numbers = [sum(3 if i % 4 == 0 else 24 for i in seen) for seen in examples.seen]
    assert column(tmp_path, "tokens") == np.cumsum(numbers).tolist()


def test_the_learning_rate_that_is_logged_follows_the_schedule(tmp_path):
    train(tmp_path, training=plan(num_steps=10, warmup_fraction=0.2, decay_fraction=0.5))
    shares = [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert column(tmp_path, "optimizer.learning_rate") == pytest.approx(
        [0.02 * share for share in shares]
    )


def test_gradients_are_clipped_to_the_stated_norm(tmp_path):
    """With a norm of almost zero Adam's epsilon swallows the update, so the norms stay at one."""
    training = plan(num_steps=2, weight_decay=0.0)
    clipped = train(tmp_path, training=changed(training, max_gradient_norm=1e-12))
    assert torch.allclose(clipped.model.norm.weight, torch.ones(32), atol=1e-3)
    free = train(tmp_path / "free", training=training)
    assert not torch.allclose(free.model.norm.weight, torch.ones(32), atol=1e-3)
    assert (
        column(tmp_path, "optimizer.gradient_norm")[0]
        == column(tmp_path / "free", "optimizer.gradient_norm")[0]
    )


def test_the_same_seed_makes_the_same_training_and_another_one_another(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tmp_path / name, training=plan(num_steps=3, seed=seed))
    assert_same_training(tmp_path / "a", tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")
    assert ledger(tmp_path / "a") != ledger(tmp_path / "c")


def test_every_step_draws_its_batch_from_the_order_of_the_seed_and_the_ledger_tells_it(tmp_path):
    examples = Trap()
    train(tmp_path, examples, plan(num_steps=15))  # more than an epoch
    assert examples.seen == drawn(*range(15))
    entries = ledgers.read(tmp_path)
    assert [(entry.step, entry.draw, entry.examples) for entry in entries] == [
        (step + 1, step, 16) for step in range(15)
    ]


def test_dropout_is_another_in_every_step_and_the_same_in_every_run(tmp_path):
    """At rest, on a batch that is always the same, the losses differ by the dropout alone."""

    class Same(Trap):
        def batch(self, indices):
            return super().batch(np.arange(len(indices)))

    training = plan(num_steps=4, learning_rate=1e-12)
    for name in ("a", "b"):
        torch.manual_seed(hash(name) % 1000)
        train(tmp_path / name, Same(), training, dropout=0.3)
    assert len(set(losses(tmp_path / "a").values())) == 4
    assert_same_training(tmp_path / "a", tmp_path / "b")


def test_finish_gets_all_weights_on_the_cpu_once_and_then_the_checkpoints_go(tmp_path):
    trained, found = model(), []

    def finish(given):
        found.append(given)
        assert committed(tmp_path), "removed before the model was saved"

    fit(trained, task(Trap()), plan(num_steps=12), tmp_path, finish)
    assert len(found) == 1
    assert not (tmp_path / "checkpoints").exists()
    for name, parameter in trained.named_parameters():
        assert torch.equal(found[0][name], parameter), name
        assert found[0][name].device.type == "cpu"


def test_a_training_whose_steps_are_complete_does_none_when_it_is_called_again(tmp_path):
    def broken(_):
        raise Fault

    first, second = Trap(), Trap()
    with pytest.raises(Fault):
        fit(model(), task(first), plan(num_steps=7), tmp_path, broken)
    assert len(first.seen) == 7
    trained = train(tmp_path, second, plan(num_steps=7))
    assert second.seen == []
    train(tmp_path / "whole", training=plan(num_steps=7))
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(trained.state_dict()[name], value), name
    assert list(losses(tmp_path)) == list(range(1, 8))


def test_a_finished_step_is_not_trained_again_by_a_run_that_resumes(tmp_path):
    """The data that a resumed run asks for begins behind the checkpoint, in the same order.

    That is on the disk although the error came while it was still being written.
    """
    training = plan(num_steps=10)
    first, second = Trap(at=5, then=fail), Trap()
    train(tmp_path / "whole", training=training)
    with pytest.raises(Fault):
        train(tmp_path / "cut", first, training)
    assert committed(tmp_path / "cut") == [5]
    train(tmp_path / "cut", second, training)
    assert first.seen == drawn(*range(5))
    assert second.seen == drawn(*range(5, 10))
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


def test_a_damaged_checkpoint_costs_one_interval_and_changes_nothing(tmp_path):
    training = plan(num_steps=14)
    train(tmp_path / "whole", training=training)
    with pytest.raises(Fault):
        train(tmp_path / "cut", Trap(at=12, then=fail), training)
    assert committed(tmp_path / "cut") == [5, 10]
    file = tmp_path / "cut" / "checkpoints" / "step_00000010" / "__0_0.distcp"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    second = Trap()
    train(tmp_path / "cut", second, training)
    assert second.seen == drawn(*range(5, 14))
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("other", ["learning_rate", "seed", "dropout"])
def test_a_checkpoint_of_another_training_or_model_is_not_gone_on_from(tmp_path, other):
    with pytest.raises(Fault):
        train(tmp_path, Trap(at=7, then=fail))
    changes = {} if other == "dropout" else {other: 3}
    with pytest.raises(ValueError, match="checkpoints of another model or another training"):
        train(tmp_path, training=plan(**changes), dropout=0.1 if other == "dropout" else 0.0)
    train(tmp_path)


def test_a_ledger_that_was_changed_is_not_gone_on_from(tmp_path):
    with pytest.raises(Fault):
        train(tmp_path, Trap(at=7, then=fail))
    lines = ledger(tmp_path).splitlines(keepends=True)
    (tmp_path / "ledger.jsonl").write_bytes(b"".join(lines[:4]))
    with pytest.raises(ValueError, match="proves only 4 steps"):
        train(tmp_path)


# data that cannot be learnt from


@pytest.mark.parametrize("poison", [Poison, PoisonInGradient])
def test_a_step_without_a_gradient_to_trust_is_skipped_and_the_training_goes_on(tmp_path, poison):
    training = plan(num_steps=12, learning_rate=0.02)
    trained = train(tmp_path, Trap(bad=[6]), training, objective=poison())
    assert column(tmp_path, "optimizer.skipped_steps") == [0] * 6 + [1] * 6
    assert column(tmp_path, "optimizer.rollbacks") == [0] * 12
    assert [(entry.step, entry.draw) for entry in ledgers.read(tmp_path)] == [
        (step + 1, step) for step in range(12)
    ]
    norms = column(tmp_path, "optimizer.gradient_norm")
    assert [np.isfinite(norm) for norm in norms] == [step != 6 for step in range(12)]
    assert all(bool(torch.isfinite(p).all()) for p in trained.parameters())
    found = list(losses(tmp_path).values())
    assert found[-1] < found[0] - 0.3


def test_a_skipped_step_leaves_the_weights_as_they_were(tmp_path):
    """Neither a decay nor a momentum acts in it."""
    fit(first := model(), task(Trap(), Poison()), plan(num_steps=5, schedule="constant"), tmp_path)
    second = train(
        tmp_path / "bad",
        Trap(bad=[5]),
        plan(num_steps=6, schedule="constant"),
        objective=Poison(),
    )
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_too_many_bad_steps_in_a_row_go_back_to_the_checkpoint_and_behind_the_data(tmp_path):
    """Draws 12 to 16 are bad: back from step 17 to 10, which goes on with draw 17."""
    examples = Trap(bad=range(12, 17))
    train(tmp_path, examples, objective=Poison())
    assert examples.seen == drawn(*range(17), *range(17, 27))
    assert [entry.draw for entry in ledgers.read(tmp_path)] == [*range(10), *range(17, 27)]
    assert column(tmp_path, "optimizer.rollbacks") == [0] * 10 + [1] * 10
    assert column(tmp_path, "optimizer.skipped_steps") == [0] * 10 + [5] * 10
    assert list(losses(tmp_path)) == list(range(1, 21))
    assert all(np.isfinite(loss) for loss in losses(tmp_path).values())


def test_behind_a_rollback_it_is_the_training_that_never_saw_that_data(tmp_path):
    class Without(Trap):
        """Echoes whose draws 10 to 16 are left out."""

        def batch(self, indices):
            number = len(self.seen)
            return super().batch(np.array(drawn(number if number < 10 else number + 7)[0]))

    train(tmp_path / "back", Trap(bad=range(12, 17)), objective=Poison())
    train(tmp_path / "never", Without(), objective=Poison())
    assert losses(tmp_path / "back") == losses(tmp_path / "never")
    left, right = weights(tmp_path / "back"), weights(tmp_path / "never")
    assert all(torch.equal(value, right[name]) for name, value in left.items())


def test_four_bad_steps_in_a_row_are_skipped_without_going_back(tmp_path):
    train(tmp_path, Trap(bad=range(12, 16)), objective=Poison())
    assert column(tmp_path, "optimizer.rollbacks") == [0] * 20
    assert column(tmp_path, "optimizer.skipped_steps")[-1] == 4


def test_bad_data_for_ever_is_an_error_with_the_remedy_after_the_returns_that_were_allowed(
    tmp_path,
):
    examples = Trap(bad=range(12, 60))
    match = r"5 steps in a row up to step 15 .* after 2 returns .*Lower learning_rate \(0\.02\)"
    with pytest.raises(RuntimeError, match=match):
        train(tmp_path, examples, objective=Poison())
    assert examples.seen == drawn(*range(27))
    assert committed(tmp_path) == [5, 10]


def test_bad_data_from_the_start_is_the_same_error(tmp_path):
    with pytest.raises(RuntimeError, match="diverged: 5 steps in a row up to step 5"):
        train(tmp_path, Trap(bad=range(30)), objective=Poison())


def test_no_checkpoint_holds_what_is_not_a_number(tmp_path):
    """A checkpoint is due in the middle of the bad data: it is taken behind it, or not at all."""
    with pytest.raises(Fault):
        train(
            tmp_path,
            Trap(bad=[8, 9, 13, 14], at=16, then=fail),
            plan(milestone_every=5),
            objective=Poison(),
        )
    assert committed(tmp_path) == [5]
    second = Trap(bad=[8, 9, 13, 14])
    trained = train(tmp_path, second, plan(milestone_every=5), objective=Poison())
    assert second.seen == drawn(*range(5, 20))
    assert all(bool(torch.isfinite(p).all()) for p in trained.parameters())


def test_a_spike_of_the_loss_is_skipped_too_by_what_was_known_before_an_interruption(tmp_path):
    class Spike(Poison):
        def __call__(self, model, batch):
            terms = super(Poison, self).__call__(model, batch)
            factor = 20.0 if batch.extras["bad"].any() else 1.0
            return {name: factor * value for name, value in terms.items()}

    training = plan(num_steps=72, learning_rate=0.005, checkpoint_every=66)
    with pytest.raises(Fault):
        train(tmp_path, Trap(at=67, then=fail), training, objective=Spike())
    train(tmp_path, Trap(bad=[70]), training, objective=Spike())
    skipped = column(tmp_path, "optimizer.skipped_steps")
    assert skipped == [0] * 70 + [1] * 2
    assert np.isfinite(losses(tmp_path)[71])


# told to leave


def test_told_to_leave_it_saves_that_very_step_and_nothing_is_lost(tmp_path):
    train(tmp_path / "whole")
    first, second = Trap(at=7, then=lambda: os.kill(os.getpid(), signal.SIGTERM)), Trap()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted) as left:
        train(tmp_path / "left", first)
    assert signal.getsignal(signal.SIGTERM) == before
    assert left.value.step == 8
    assert committed(tmp_path / "left") == [5, 8]
    assert not (tmp_path / "left" / "weights.pt").exists()
    train(tmp_path / "left", second)
    assert second.seen == drawn(*range(8, 20))
    assert_same_training(tmp_path / "whole", tmp_path / "left")


def test_told_to_leave_in_the_last_step_it_finishes(tmp_path):
    train(tmp_path / "whole")
    examples = Trap(at=19, then=lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(tmp_path / "late", examples)
    assert_same_training(tmp_path / "whole", tmp_path / "late")


def test_dropout_resumes_to_the_same_bits(tmp_path):
    train(tmp_path / "whole", dropout=0.2)
    with pytest.raises(Fault):
        train(tmp_path / "cut", Trap(at=8, then=fail), dropout=0.2)
    torch.rand(100)
    train(tmp_path / "cut", dropout=0.2)
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


# a full disk


def until_committed(out: Path, step: int) -> None:
    end = time.monotonic() + 30
    while step not in committed(out) and time.monotonic() < end:
        time.sleep(0.01)


def test_a_checkpoint_too_large_for_the_disk_is_an_oserror_and_the_last_good_one_stays(tmp_path):
    """A limit on the size of a file is a disk that is full for checkpoints alone."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit():
        until_committed(tmp_path / "full", 5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))

    first, second = Trap(at=7, then=limit), Trap()
    train(tmp_path / "whole")
    try:
        with pytest.raises(OSError, match="File too large"):
            train(tmp_path / "full", first)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(first.seen) == 15, "the next checkpoint tells, not the end"
    assert [found.name for found in (tmp_path / "full" / "checkpoints").iterdir()] == [
        "step_00000005"
    ]
    train(tmp_path / "full", second)
    assert second.seen == drawn(*range(5, 20))
    assert_same_training(tmp_path / "whole", tmp_path / "full")


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_full_disk_is_an_oserror_and_the_same_call_goes_on_when_there_is_space(
    tmp_path, small_disk, left
):
    """Full to the last byte even the metrics fail; with a little left, the checkpoint does."""
    out, filler = small_disk / "out", small_disk / "filler"

    def fill():
        until_committed(out, 5)
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        filler.write_bytes(bytes(max(0, free - left)))

    train(tmp_path / "whole")
    with pytest.raises(OSError, match="No space left on device"):
        train(out, Trap(at=7, then=fill))
    assert committed(out) == [5]
    filler.unlink()
    second = Trap()
    train(out, second)
    assert second.seen == drawn(*range(5, 20))
    assert_same_training(tmp_path / "whole", out)
