"""SIGTERM as a request: in the main thread, in another one, and under torchrun."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from components.core.processes import preemption
from components.core.processes.preemption import Preempted

ROOT = Path(__file__).parents[4]

_RANK = """
import os, time
from pathlib import Path
import torch
import torch.distributed as dist
from components.core.processes import preemption

dist.init_process_group("gloo")
with preemption.listen():
    Path(f"ready{dist.get_rank()}").touch()
    for step in range(1, 10_000):
        time.sleep(0.01)
        wanted = torch.tensor(float(preemption.requested()))
        dist.all_reduce(wanted)
        if wanted.item() > 0:
            Path(f"left{dist.get_rank()}").write_text(str(step))
            break
"""


def _wait_until(is_so, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not is_so():
        time.sleep(0.02)
    return is_so()


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_is_a_request_in_the_block_and_what_it_was_behind_it():
    before = signal.getsignal(signal.SIGTERM)
    heard: list[str] = []
    with preemption.listen(lambda: heard.append("notice")):
        assert not preemption.requested()
        _terminate()
        assert _wait_until(preemption.requested, 2)
        assert heard == ["notice"]
    assert not preemption.requested()
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_error_in_the_block_restores_the_handler_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="broken"), preemption.listen():
        raise RuntimeError("broken")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_that_is_not_the_main_one_can_listen():
    before = signal.getsignal(signal.SIGTERM)
    saw, done = threading.Event(), threading.Event()

    def train() -> None:
        with preemption.listen():
            while not preemption.requested() and not done.is_set():
                time.sleep(0.01)
            if preemption.requested():
                saw.set()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        assert _wait_until(lambda: signal.getsignal(signal.SIGTERM) != before, 5)
        _terminate()
        assert _wait_until(saw.is_set, 5)
    finally:
        done.set()
        thread.join()
    assert _wait_until(lambda: signal.getsignal(signal.SIGTERM) == before, 5)


def test_the_message_says_the_step_and_how_to_go_on():
    assert str(Preempted(7)) == (
        "Preempted after step 7. The same command goes on where this one stopped."
    )


def test_without_a_checkpoint_the_message_promises_none():
    assert str(Preempted()) == (
        "Preempted before there was a checkpoint. The same command keeps the finished steps and "
        "begins this one again."
    )


def test_the_newest_checkpoint_that_is_whole_is_the_one_that_counts(tmp_path):
    assert preemption.saved_step(tmp_path) is None
    for name in ("step_00000004", "step_00000012", ".step_00000020"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert preemption.saved_step(tmp_path) is None
    for name in ("step_00000004", "step_00000012", ".step_00000020"):
        (tmp_path / "checkpoints" / name / "manifest.json").touch()
    assert preemption.saved_step(tmp_path) == 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_where_nobody_listens_a_signal_ends_the_block_at_once(number, tmp_path):
    outside = signal.signal(number, signal.SIG_DFL)  # `nohup pytest` ignores SIGHUP
    start = time.monotonic()
    (tmp_path / "checkpoints" / "step_00000007").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step_00000007" / "manifest.json").touch()
    threading.Timer(0.3, os.kill, [os.getpid(), number]).start()
    with (
        pytest.raises(Preempted, match=r"^Preempted after step 7\."),
        preemption.interruptible(tmp_path),
    ):
        try:
            time.sleep(30)
        except Exception:  # as a library has it
            time.sleep(30)
    assert time.monotonic() - start < 10
    assert signal.signal(number, outside) == signal.SIG_DFL


def test_a_second_signal_does_not_end_what_the_first_one_cleans_up():
    cleaned = False
    with pytest.raises(Preempted), preemption.interruptible():
        try:
            _terminate()
            time.sleep(5)
        finally:
            _terminate()
            time.sleep(0.1)
            cleaned = True
    assert cleaned


def test_inside_the_block_a_loop_that_listens_is_asked_and_not_ended():
    with preemption.interruptible():
        with preemption.listen():
            _terminate()
            assert _wait_until(preemption.requested, 2)
        with pytest.raises(Preempted), preemption.interruptible():
            _terminate()
            time.sleep(5)


@pytest.fixture
def in_front():
    """Hear Ctrl-C as in a terminal: a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_a_request_too_and_the_second_one_is_an_interruption(in_front):
    with pytest.raises(KeyboardInterrupt), preemption.listen():
        os.kill(os.getpid(), signal.SIGINT)
        assert _wait_until(preemption.requested, 2)
        assert preemption.was_ctrl_c()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    with preemption.listen():
        _terminate()
        assert _wait_until(preemption.requested, 2)
    assert not preemption.was_ctrl_c()


def test_a_closed_terminal_is_no_news_to_what_was_started_to_outlive_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with preemption.interruptible(), preemption.listen():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.1)
            assert not preemption.requested()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_torchrun_passes_sigterm_on_and_all_ranks_leave_at_the_same_step(tmp_path):
    (tmp_path / "rank.py").write_text(_RANK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    agent = subprocess.Popen(
        [*command, "--nproc-per-node=2", "rank.py"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = [tmp_path / f"ready{rank}" for rank in (0, 1)]
        assert _wait_until(lambda: all(file.exists() for file in ready), 240)
        agent.terminate()
        agent.wait(30)
    finally:
        agent.kill()
    steps = [(tmp_path / f"left{rank}").read_text() for rank in (0, 1)]
    assert steps[0] == steps[1]
