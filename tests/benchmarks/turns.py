"""Peers in processes of their own that train some steps when told, and wait in between.

A process each, since allocator and threads are settings of a process. The child's side is a file
of JSON lines in each direction; its standard output goes to its log, as trainers print.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks.work import Work, num_threads

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[2]


class Peer(NamedTuple):
    """A trainer that is compared, and the distribution it needs."""

    name: str
    function: str  # module:function under tests.benchmarks, (work, turns) -> model or None
    options: Mapping[str, bool | int | str] = MappingProxyType({})
    environment: Mapping[str, str] = MappingProxyType({})


class Turn(NamedTuple):
    """Some steps of one peer."""

    steps: int
    seconds: float
    cpu_seconds: float
    items: int = 0  # what a peer counted in its steps, such as targets
    peak_bytes: int = 0  # most that its process held until then


class Missing(Exception):
    """A peer is not installed."""


class Ended(Exception):
    """A peer stopped before it was asked to; its message is the end of its log."""


class Turns:
    """The child's side: a peer calls `begin` before the first step and `step` after each one."""

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands, self._answers = commands, answers
        self._steps = self._left = self._items = 0
        self._since = self._cpu_since = 0.0

    def begin(self) -> None:
        """Wait until a turn is granted; the process ends when no more is."""
        line = self._commands.readline()
        if not line:
            os._exit(0)  # trainers catch SystemExit
        self._steps = self._left = int(line)
        self._items = 0
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def step(self, num_items: int = 0) -> None:
        """Count a finished step, and at the end of the turn say so and wait for the next."""
        self._left -= 1
        self._items += num_items
        if self._left == 0:
            if (torch := sys.modules.get("torch")) and torch.cuda.is_initialized():
                torch.cuda.synchronize()
            now, cpu = time.perf_counter(), time.process_time()
            used = now - self._since, cpu - self._cpu_since
            turn = Turn(self._steps, *used, self._items, peak_bytes())
            self.answer({"turn": turn._asdict()})
            self.begin()

    def answer(self, message: dict[str, Any]) -> None:
        """Send a message to the parent."""
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()


def peak_bytes() -> int:
    """Return the most memory that this process held since it began, resident; 0 if unknown."""
    status = Path("/proc/self/status")  # `getrusage` would count the parent's too
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


class Running:
    """The parent's side of one peer's process."""

    def __init__(self, peer: Peer, work: Work) -> None:
        self.peer, self.work = peer, work
        work.out.mkdir(parents=True, exist_ok=True)
        self._log = work.out / "log.txt"
        threads = str(work.options.get("threads", num_threads()))
        environment = {**os.environ, "OMP_NUM_THREADS": threads, **peer.environment}
        command = [sys.executable, "-m", "tests.benchmarks.turns", peer.function]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, work.model_dump_json()],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def grant(self, num_steps: int) -> None:
        """Let the peer train `num_steps`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{num_steps}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it died of is said where its answer is read

    def answer(self) -> dict[str, Any]:
        """Wait for the next message of the peer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = self._log.read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise Ended(f"{self.peer.name} ended: {' | '.join(tail)}")
        message = json.loads(line)
        if "missing" in message:
            raise Missing(f"not installed ({message['missing']})")
        return message

    def take(self, num_steps: int) -> Turn:
        """Train `num_steps` and return how long they took."""
        self.grant(num_steps)
        return self.turn()

    def turn(self) -> Turn:
        """Wait for the end of a turn that was granted."""
        return Turn(**self.answer()["turn"])

    def finish(self) -> float:
        """Let a peer that has done all its steps return; return its held-out loss."""
        self.grant(1)
        return self.answer()["loss"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def running(peer: Peer, work: Work) -> Iterator[Running]:
    """Start a peer, and end it with the block."""
    options = {**work.options, **peer.options}
    process = Running(peer, work.model_copy(update={"options": options}))
    try:
        yield process
    finally:
        process.close()


@contextmanager
def started(
    peers: list[Peer], work: Work, first_steps: int
) -> Iterator[tuple[dict[str, Running], dict[str, str]]]:
    """Start the peers one after the other and let each train `first_steps`, compiling included.

    Yields those that run, and the reason for each that does not.
    """
    with ExitStack() as stack:
        alive: dict[str, Running] = {}
        reasons: dict[str, str] = {}
        for number, peer in enumerate(peers):
            own = work.model_copy(update={"out": work.out / f"peer_{number}"})
            process = stack.enter_context(running(peer, own))
            try:
                process.take(first_steps)
                alive[peer.name] = process
            except (Missing, Ended) as error:
                reasons[peer.name] = str(error)
        yield alive, reasons


def _serve(function: str, payload: str) -> None:
    """Train as a child: answers go where standard output went, prints go to the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    turns = Turns(sys.stdin, answers)
    work = Work.model_validate_json(payload)
    module, name = function.split(":")
    try:
        train = getattr(importlib.import_module(f"tests.benchmarks.{module}"), name)
        model: nn.Module | None = train(work, turns)
    except ImportError as error:
        turns.answer({"missing": str(error).strip().splitlines()[0]})
        return
    if model is not None and work.shards is not None:
        from tests.benchmarks.held_out import held_out_loss

        turns.answer({"loss": held_out_loss(model, work)})


if __name__ == "__main__":
    _serve(*sys.argv[1:])
