"""A training that takes a second, for the tests of the loop: in this process or in ones that die.

Processes are forked from a server that has imported torch once.
"""

import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from components.core.settings import settings
from components.lib.device import has_bfloat16
from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.permutation import draw
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.next_token import NextToken
from components.lib.training.fit import TrainSpec, fit
from components.lib.training.hyperparameters import Hyperparameters

VOCABULARY = 48
BATCH_SIZE = 16
# bfloat16 has 8 bits of mantissa; float32 products differ by their order alone
ROUNDING = 2e-2 if has_bfloat16() else 1e-4

_processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "forkserver")
_processes.set_forkserver_preload([__name__])


class Echoes:
    """Sequences of letters drawn with unequal frequency, where each one is said twice.

    Half of the targets can be known from the input before them, so the loss can fall to half of
    the letters' entropy and no lower. Every fourth sequence bears a loss at its first targets only.
    """

    def __init__(self, num: int = 200, length: int = 24, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.seen: list[list[int]] = []
        shares = 1 / np.arange(1, VOCABULARY - 1)
        shares /= shares.sum()
        letters = 2 + random.choice(VOCABULARY - 2, size=(num, length // 2 + 1), p=shares)
        self.rows = np.repeat(letters, 2, axis=1)[:, : length + 1].astype(np.int64)
        self.entropy = -float(shares @ np.log(shares))

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices) -> Batch:
        self.seen.append(indices.tolist())
        rows = self.rows[indices]
        targets = rows[:, 1:].copy()
        targets[indices % 4 == 0, 3:] = IGNORED
        return Batch(rows[:, :-1].copy(), targets)


class Trap(Echoes):
    """Echoes that poison the batches of some draws, and do something when asked for the n-th."""

    def __init__(self, bad: Collection[int] = (), at: int = -1, then=None, **options) -> None:
        super().__init__(**options)
        self._bad = {tuple(draw(number, BATCH_SIZE, len(self), 0).tolist()) for number in bad}
        self._at, self._then = at, then

    def batch(self, indices) -> Batch:
        if len(self.seen) == self._at and self._then is not None:
            self._then()
        batch = super().batch(indices)
        is_bad = tuple(indices.tolist()) in self._bad
        return Batch(batch.inputs, batch.targets, {"bad": np.full(len(batch), int(is_bad))})


class Poison(NextToken):
    """The loss of a poisoned batch is no number; or, `in_gradient`, its gradient alone is none."""

    in_gradient = False

    def __call__(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        terms = super().__call__(model, batch)
        if not batch.extras["bad"].any():
            return terms
        if not self.in_gradient:
            return {name: value * float("nan") for name, value in terms.items()}
        for value in terms.values():
            value.register_hook(lambda gradient: gradient * float("nan"))
        return terms


class PoisonInGradient(Poison):
    in_gradient = True


def model(seed: int = 0, dropout: float = 0.0):
    heads = 2 if dropout else 1  # dropout everywhere: GPT-2, which has no grouped queries
    shape = Shape(
        architecture="gpt2" if dropout else "llama",
        width=32,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=heads,
        max_length=64,
        dropout=dropout,
    )
    return build_model(shape, VOCABULARY, SpecialIds(0, 1), seed)


def plan(**changes) -> Hyperparameters:
    values = {
        "num_steps": 20,
        "batch_size": BATCH_SIZE,
        "learning_rate": 0.02,
        "log_every": 1,
        "evaluate_every": 8,
        "checkpoint_every": 5,
    }
    return Hyperparameters(**{**values, **changes})


def task(examples: Echoes, objective=None) -> TrainSpec:
    held_out = {"held_out": 1.0}
    return TrainSpec(examples, objective or NextToken(), lambda: held_out, flops_per_token=1e6)


def train(out: Path, examples=None, training=None, *, objective=None, dropout=0.0):
    """Train in this process; the weights that `finish` gets go to `weights.pt`."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    training = training or plan()
    trained = model(training.seed, dropout)

    def finish(weights: dict[str, torch.Tensor]) -> None:
        torch.save(weights, out / "weights.pt")
        trained.save_pretrained(out / "model", state_dict=weights)

    fit(trained, task(examples or Trap(), objective), training, out, finish)
    return trained


class Child(NamedTuple):
    """What one process of a training does."""

    out: Path
    training: Hyperparameters
    dies_at: int = -1
    """Asked for this batch of this attempt (from 0), the process gets `by`; -1: it lives."""
    by: signal.Signals = signal.SIGKILL
    bad: tuple[int, ...] = ()
    """Draws whose loss is no number."""
    dropout: float = 0.0


@contextmanager
def member(rank: int, size: int, rendezvous: str, environment: dict[str, str]) -> Iterator[None]:
    """Be one of a group of processes."""
    os.environ.update(environment, GLOO_SOCKET_IFNAME="lo")
    settings.cache_clear()
    torch.set_num_threads(1)
    if size > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size
        )
    yield
    if size > 1:
        torch.distributed.destroy_process_group()


def _child(child: Child, rank: int, size: int, rendezvous: str, environment: dict[str, str]):
    with member(rank, size, rendezvous, environment | {"BLOOMERY_OWNER": str(child.out)}):
        examples = Trap(child.bad, child.dies_at, lambda: os.kill(os.getpid(), child.by))
        train(child.out, examples, child.training, objective=Poison(), dropout=child.dropout)


def processes(*children: Child, **environment: str) -> list[int]:
    """Run a group of processes; when one dies the others are killed. Return the exit codes."""
    return in_group(_child, children, environment)


def in_group(
    target: Callable[..., None], tasks: Sequence[object], environment: dict[str, str]
) -> list[int]:
    """Call `target` on each of `tasks`, each in a process of one group; return the exit codes.

    It gets its task, its rank, the size of the group, a file to meet in, and the environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        group = [
            _processes.Process(
                target=target, args=(task, rank, len(tasks), f"{folder}/meet", environment)
            )
            for rank, task in enumerate(tasks)
        ]
        for process in group:
            process.start()
        try:
            left = {process.sentinel: process for process in group}
            while left:
                ended = wait(list(left), timeout=120)
                assert ended, "the processes wait for each other"
                if any([left.pop(sentinel).exitcode for sentinel in ended]):
                    break
        finally:
            codes = [process.exitcode for process in group]
            for process in group:
                process.kill()
                process.join()
    return codes


def points(out: Path) -> list[tuple[int, dict[str, float]]]:
    """Return the metrics of each step, apart from times."""
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    read = [json.loads(line) for line in lines if line.strip()]
    clocks = ("second", "peak_flops", "memory")
    return [
        (
            point["step"],
            {k: v for k, v in point["metrics"].items() if not any(c in k for c in clocks)},
        )
        for point in read
    ]


def column(out: Path, name: str) -> list[float]:
    return [point[name] for _, point in points(out) if name in point]


def losses(out: Path) -> dict[int, float]:
    return {step: point["loss"] for step, point in points(out) if "loss" in point}


def weights(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "weights.pt")


def ledger(out: Path) -> bytes:
    return (out / "ledger.jsonl").read_bytes()


def committed(out: Path) -> list[int]:
    """Return the steps of the checkpoints that lie whole."""
    return sorted(int(found.name.removeprefix("step_")) for found in out.glob("checkpoints/step_*"))


def assert_same_training(one: Path, other: Path) -> None:
    """Weights, losses and all other metrics, and what was seen are equal to the last bit."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name
    assert repr(points(one)) == repr(points(other))  # NaN equals NaN
    assert ledger(one) == ledger(other)


def changed(training: Hyperparameters, **changes: Any) -> Hyperparameters:
    return training.model_copy(update=changes)
