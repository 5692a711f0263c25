"""A group of Ray workers: what ends it, what starts it again, and what it leaves behind."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.processes import preemption
from components.core.processes.preemption import Preempted
from components.core.processes.workers import train_on_workers
from components.core.settings import settings

pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.ray]

ROOT = Path(__file__).parents[4]


class Nothing(Component[DataRevision, Artifact]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Artifact:
        raise NotImplementedError


# What the workers run. They import this module by name.


def train(payload: dict[str, Any]) -> None:
    """Take steps of 50 ms together until told to leave; a second attempt ends after three."""
    import torch
    import torch.distributed as dist

    out = Path(payload["out"])
    rank = dist.get_rank()
    attempt = len(list(out.glob(f"pid_{rank}_*"))) + 1
    with preemption.listen():
        (out / f".pid_{rank}").write_text(str(os.getpid()))
        (out / f".pid_{rank}").replace(out / f"pid_{rank}_{attempt}")
        for step in range(1, 4 if attempt > 1 else 10_000):
            time.sleep(0.05)
            wanted = torch.tensor(float(preemption.requested()))
            dist.all_reduce(wanted)
            if wanted.item() > 0:
                raise Preempted(step)


def refuse(payload: dict[str, Any]) -> None:
    """Raise on rank 1 what a user can mend, while rank 0 waits for it."""
    import torch
    import torch.distributed as dist

    (Path(payload["out"]) / f"attempt_{time.time_ns()}_{dist.get_rank()}").touch()
    if dist.get_rank() == 1:
        raise ValueError("Lower the batch_size: 3 < 4")
    dist.all_reduce(torch.zeros(1))


def break_down(payload: dict[str, Any]) -> None:
    """Raise on both ranks what only another attempt may mend."""
    import torch.distributed as dist

    (Path(payload["out"]) / f"attempt_{time.time_ns()}_{dist.get_rank()}").touch()
    raise KeyError("the reason")


@pytest.fixture(autouse=True)
def group_of_two(monkeypatch, request):
    """Start groups of two processes: by Ray Train, or by torchrun where a test says `off`."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", getattr(request, "param", "local"))
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "2")
    settings.cache_clear()
    settings().home.mkdir(parents=True, exist_ok=True)


def _run(function: Any, out: Path) -> None:
    train_on_workers(function, Nothing(), DataRevision(revision="1.dir"), out)


def _pid(out: Path, rank: int) -> int:
    return int((out / f"pid_{rank}_1").read_text())


def _signal_later(number: signal.Signals, out: Path, whom: Any) -> None:
    """Send the signal a second after both ranks have started."""

    def send() -> None:
        while not all((out / f"pid_{rank}_1").exists() for rank in (0, 1)):
            time.sleep(0.05)
        time.sleep(1)
        os.kill(whom(), number)

    threading.Thread(target=send, daemon=True).start()


def _num_attempts(out: Path) -> int:
    return len(list(out.glob("pid_0_*")))


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.prove
def test_sigterm_to_one_worker_ends_the_group_as_preempted_and_not_once_more(tmp_path):
    _signal_later(signal.SIGTERM, tmp_path, lambda: _pid(tmp_path, 1))
    with pytest.raises(Preempted, match=r"^Preempted after step \d+\. The same command goes on"):
        _run(train, tmp_path)
    assert _num_attempts(tmp_path) == 1


@pytest.mark.prove
@pytest.mark.parametrize("group_of_two", ["local", "off"], indirect=True)
def test_sigterm_to_the_calling_process_reaches_the_workers(tmp_path):
    _signal_later(signal.SIGTERM, tmp_path, os.getpid)
    with pytest.raises(Preempted):
        _run(train, tmp_path)
    assert _num_attempts(tmp_path) == 1
    assert not preemption.requested()


@pytest.mark.prove
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_sigterm_while_ray_starts_is_heeded_before_anybody_kills(tmp_path, seconds):
    start = time.monotonic()
    threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGTERM]).start()
    with pytest.raises(Preempted, match=r"^Preempted before there was a checkpoint\."):
        _run(train, tmp_path)
    assert time.monotonic() - start < 25
    assert _num_attempts(tmp_path) == 0
    assert not preemption.requested()


@pytest.mark.parametrize("group_of_two", ["local", "off"], indirect=True)
def test_what_a_user_can_mend_comes_from_any_rank_and_is_tried_once(tmp_path):
    with pytest.raises(ValueError, match=r"^Lower the batch_size: 3 < 4$"):
        _run(refuse, tmp_path)
    assert len(list(tmp_path.glob("attempt_*_1"))) == 1  # rank 0 may not have come so far


@pytest.mark.prove
@pytest.mark.parametrize("group_of_two", ["local", "off"], indirect=True)
def test_another_error_is_tried_four_times_and_told_with_its_last_lines(tmp_path):
    with pytest.raises(RuntimeError, match="KeyError: 'the reason'"):
        _run(break_down, tmp_path)
    assert 4 <= len(list(tmp_path.glob("attempt_*"))) <= 8  # a rank may be ended before it starts


@pytest.mark.prove
def test_a_stopped_worker_is_found_and_removed_and_the_group_starts_again(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", "15")
    _signal_later(signal.SIGSTOP, tmp_path, lambda: _pid(tmp_path, 1))
    try:
        _run(train, tmp_path)
        assert _num_attempts(tmp_path) == 2
        assert not _is_there(_pid(tmp_path, 1)), "the stopped process is left"
    finally:
        if _is_there(_pid(tmp_path, 1)):
            os.kill(_pid(tmp_path, 1), signal.SIGKILL)
