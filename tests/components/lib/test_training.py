"""The training loop: it learns, weighs each target the same, and resumes to the last bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from components.lib.architectures import SpecialIds, build_model
from components.lib.device import has_bfloat16
from components.lib.models import num_parameters
from components.lib.permutation import draw
from components.lib.plan import Training
from components.lib.shape import Shape
from components.lib.training import IGNORED, Batch, Group, backward, fit, summed_loss

ROOT = Path(__file__).parents[3]
VOCABULARY = 48
ALONE = Group(0, 1)
# bfloat16 has 8 bits of mantissa; float32 products differ by their order alone
ROUNDING = 2e-2 if has_bfloat16() else 1e-4


class Echoes:
    """Sequences of letters drawn with unequal frequency, where each one is said twice.

    Half of the targets can be known from the input before them, so the loss can fall to half of
    the letters' entropy and no lower. Every fourth sequence bears a loss at its first targets only.
    """

    def __init__(self, num: int = 200, length: int = 24, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.seen: list[list[int]] = []
        frequencies = 1 / np.arange(1, VOCABULARY - 1)
        letters = 2 + random.choice(
            VOCABULARY - 2, size=(num, length // 2 + 1), p=frequencies / frequencies.sum()
        )
        self.rows = np.repeat(letters, 2, axis=1)[:, : length + 1].astype(np.int64)
        self.entropy = -float(
            (frequencies / frequencies.sum()) @ np.log(frequencies / frequencies.sum())
        )

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices) -> Batch:
        self.seen.append(indices.tolist())
        rows = self.rows[indices]
        targets = rows[:, 1:].copy()
        targets[indices % 4 == 0, 3:] = IGNORED
        return Batch(rows[:, :-1].copy(), targets)


class Fatal(Echoes):
    """Kills its own process with SIGKILL when the data of step `STEPS_TO_LIVE` is asked for."""

    left = int(os.environ.get("STEPS_TO_LIVE", "0"))

    def batch(self, indices) -> Batch:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().batch(indices)


def model(seed: int = 0):
    shape = Shape(width=32, num_layers=2, num_heads=2, num_key_value_heads=1, max_length=64)
    return build_model(shape, VOCABULARY, SpecialIds(0, 1), seed)


def plan(**changes) -> Training:
    values = {
        "num_steps": 20,
        "batch_size": 16,
        "learning_rate": 0.02,
        "log_every": 1,
        "evaluate_every": 8,
        "checkpoint_every": 5,
    }
    return Training(**{**values, **changes})


def train(out: Path, examples: Echoes, training: Training):
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    trained = model(training.seed)
    fit(trained, training, examples, out, lambda: {"held_out": 1.0}, flops_per_token=1e6)
    return trained


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


def test_the_loss_falls_to_what_can_be_known(tmp_path, read_spool):
    examples = Echoes()
    train(tmp_path, examples, plan(num_steps=80, checkpoint_every=1000))
    losses = [point["loss"] for _, point in read_spool(tmp_path) if "loss" in point]
    assert losses[0] == pytest.approx(np.log(VOCABULARY), abs=0.5)
    best = examples.entropy / 2
    assert best - 0.3 < np.mean(losses[-5:]) < best + 0.35


def test_the_loss_is_the_mean_negative_log_probability_of_the_targets_that_count():
    changed, batch = random_weights(), Echoes().batch(np.arange(8))
    loss, num_targets = backward(changed, batch, 8, ALONE)
    with torch.no_grad():
        logits = changed(input_ids=torch.from_numpy(batch.inputs)).logits.double()
    probabilities = torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)
    nats = [
        -float(torch.log(probabilities[row, place, target]))
        for row, targets in enumerate(batch.targets)
        for place, target in enumerate(targets)
        if target != -100
    ]
    assert num_targets == len(nats) == 6 * 24 + 2 * 3
    assert loss == pytest.approx(np.mean(nats), rel=ROUNDING)


@pytest.mark.parametrize("micro_batch_size", [1, 4, 5, 31])
def test_many_small_batches_have_the_gradient_of_the_large_one(micro_batch_size):
    """transformers#35203: the mean of the means is another gradient if token counts differ."""
    batch = Echoes().batch(np.arange(32))
    batch.targets[:8, 1:] = IGNORED  # one target each, against 24
    whole, cut = random_weights(), random_weights()
    large, num_targets = backward(whole, batch, 32, ALONE)
    small, same_number = backward(cut, batch, micro_batch_size, ALONE)
    assert num_targets == same_number
    assert small == pytest.approx(large, rel=ROUNDING)
    assert distance(gradient(cut), gradient(whole)) < ROUNDING


def test_the_mean_of_the_means_would_have_failed_that_test():
    batch = Echoes().batch(np.arange(32))
    batch.targets[:8, 1:] = IGNORED
    whole, naive = random_weights(), random_weights()
    backward(whole, batch, 32, ALONE)
    for start in range(0, 32, 4):
        part = Batch(batch.inputs[start : start + 4], batch.targets[start : start + 4])
        backward(naive, part, 4, ALONE)
    assert distance(gradient(naive) / 8, gradient(whole)) > 5 * ROUNDING


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
    assert backward(short, batch, 2, ALONE) == backward(long, padded, 2, ALONE)
    assert torch.equal(gradient(short), gradient(long))
    assert widths == [24, 24]


def test_the_summed_loss_leaves_out_ignored_targets():
    changed = random_weights()
    inputs, targets = torch.tensor([[2, 3, 4]]), torch.tensor([[3, IGNORED, 5]])
    with torch.no_grad():
        logits = changed(input_ids=inputs).logits[0].double()
        expected = F.cross_entropy(logits[[0, 2]], torch.tensor([3, 5]), reduction="sum")
        found = summed_loss(changed, inputs, targets)
    assert float(found) == pytest.approx(float(expected), rel=ROUNDING)


def _killed_and_resumed(out: Path, steps_to_live: int, training: Training):
    code = (
        "from pathlib import Path; from tests.components.lib.test_training import *;"
        f"train(Path({str(out)!r}), Fatal(), Training.model_validate({training.model_dump()!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STEPS_TO_LIVE": str(steps_to_live)}
    killed = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return train(out, Echoes(), training)


@pytest.mark.slow
def test_killed_in_the_middle_and_resumed_it_ends_with_the_same_bits(tmp_path, read_spool):
    whole = train(tmp_path / "whole", Echoes(), plan())
    resumed = _killed_and_resumed(tmp_path / "killed", 13, plan())
    for (name, one), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other), name

    points, expected = read_spool(tmp_path / "killed"), read_spool(tmp_path / "whole")
    assert [step for step, point in points if "loss" in point] == list(range(1, 21))
    assert [step for step, point in points if "held_out" in point] == [8, 16, 20]
    for (step, one), (same, other) in zip(points, expected, strict=True):
        assert step == same
        for name in ("loss", "gradient_norm", "learning_rate", "progress", "held_out"):
            assert one.get(name) == other.get(name), (step, name)


def test_a_finished_step_is_not_trained_again_by_a_run_that_resumes(tmp_path):
    """The data that a resumed run asks for begins behind the checkpoint, in the same order."""

    class Interrupted(Echoes):
        def batch(self, indices) -> Batch:
            if len(self.seen) == 7:
                raise KeyboardInterrupt
            return super().batch(indices)

    whole, first, second = Echoes(), Interrupted(), Echoes()
    train(tmp_path / "whole", whole, plan(num_steps=10))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", first, plan(num_steps=10))
    train(tmp_path / "cut", second, plan(num_steps=10))
    assert first.seen == whole.seen[:7]
    assert second.seen == whole.seen[5:]


def test_the_learning_rate_that_is_logged_follows_the_schedule(tmp_path, read_spool):
    training = plan(num_steps=10, warmup_fraction=0.2, decay_fraction=0.5)
    train(tmp_path, Echoes(), training)
    rates = [point["learning_rate"] for _, point in read_spool(tmp_path) if "loss" in point]
    shares = [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert rates == pytest.approx([0.02 * share for share in shares])


def test_gradients_are_clipped_to_the_stated_norm(tmp_path):
    """With a norm of almost zero Adam's epsilon swallows the update, so the norms stay at one."""
    trained = train(
        tmp_path, Echoes(), plan(num_steps=2, max_gradient_norm=1e-12, weight_decay=0.0)
    )
    assert torch.allclose(trained.model.norm.weight, torch.ones(32), atol=1e-3)
    free = train(tmp_path / "free", Echoes(), plan(num_steps=2, weight_decay=0.0))
    assert not torch.allclose(free.model.norm.weight, torch.ones(32), atol=1e-3)


def in_a_group(out: Path, rank: int, size: int, port: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size
    )
    training = plan(micro_batch_size=3, num_steps=12, checkpoint_every=1000)
    examples = Echoes()
    trained = train(out, examples, training)
    torch.save(trained.state_dict(), out / f"weights_{rank}.pt")
    (out / f"seen_{rank}.json").write_text(json.dumps(examples.seen))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path, read_spool):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "two"
    out.mkdir()
    code = (
        "import sys; from pathlib import Path; from tests.components.lib.test_training import *;"
        f"in_a_group(Path({str(out)!r}), int(sys.argv[1]), 2, {port})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(rank)], env=environment, cwd=ROOT)
        for rank in range(2)
    ]
    try:
        assert [process.wait(120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    train(tmp_path / "one", Echoes(), plan(num_steps=12, checkpoint_every=1000))

    both, alone = read_spool(out), read_spool(tmp_path / "one")
    assert [step for step, _ in both] == [step for step, _ in alone], (
        "rank 1 logs too, or a step is lost"
    )
    for (step, two), (_, one) in zip(both, alone, strict=True):
        if "loss" in one:
            assert two["loss"] == pytest.approx(one["loss"], rel=ROUNDING), step
            assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=3 * ROUNDING)
    weights = [torch.load(out / f"weights_{rank}.pt") for rank in range(2)]
    seen = [json.loads((out / f"seen_{rank}.json").read_text()) for rank in range(2)]
    for step, (left, right) in enumerate(zip(*seen, strict=True)):
        assert len(left) == len(right) == 8, "they do each other's work"
        assert sorted(left + right) == sorted(draw(step, 16, 200, seed=0).tolist())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), f"the processes drifted apart at {name}"


def test_seeds_make_other_weights_and_the_same_seed_the_same():
    assert all(
        torch.equal(one, other)
        for one, other in zip(model(1).parameters(), model(1).parameters(), strict=True)
    )
    assert not torch.equal(model(1).model.embed_tokens.weight, model(2).model.embed_tokens.weight)
    assert num_parameters(model(1)) == num_parameters(model(2))
