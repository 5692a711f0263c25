"""The driver process: how it fails, and that it never outlives what it works for."""

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core.processes.call import Call
from components.core.processes.driver import run_in_driver
from components.core.processes.preemption import Preempted

ROOT = Path(__file__).parents[4]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


# What the driver runs. It imports this module by name.


def write(payload: dict[str, str]) -> None:
    Path(payload["file"]).write_text(payload["text"], encoding="utf-8")


def refuse(payload: dict[str, str]) -> None:
    raise ValueError(payload["text"])


def break_down(payload: dict[str, str]) -> None:
    for number in range(100):
        sys.stdout.write(f"line {number}\n")
    sys.stdout.flush()
    os._exit(9)


def raise_an_error(payload: dict[str, str]) -> None:
    raise KeyError(payload["text"])


def leave(payload: dict[str, str]) -> None:
    raise Preempted(int(payload["step"]))


def return_and_crash(payload: dict[str, str]) -> None:
    """Return, in a process that then dies while it ends, as a library may make it."""
    atexit.register(os.abort)


def linger(payload: dict[str, str]) -> None:
    """Start a process that does not listen to SIGINT, say which two there are, and wait."""
    child = subprocess.Popen(["sh", "-c", "trap '' INT; exec sleep 60"])
    time.sleep(0.3)  # the trap is set
    aside = Path(f"{payload['file']}.part")
    aside.write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
    aside.replace(payload["file"])
    time.sleep(60)


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _wait_until(is_so, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.02)
    return is_so()


def call(function, **payload: str) -> Call:
    return Call(target=f"{__name__}:{function.__name__}", payload=payload)


@pytest.fixture(autouse=True)
def import_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_function_gets_its_payload_in_another_process(tmp_path):
    file = tmp_path / "written"
    run_in_driver(call(write, file=str(file), text="ünïcode"))
    assert file.read_text("utf-8") == "ünïcode"


def test_what_a_user_can_mend_comes_through_as_the_same_message():
    with pytest.raises(ValueError, match=r"^Lower the batch_size: 3 < 4$"):
        run_in_driver(call(refuse, text="Lower the batch_size: 3 < 4"))


def test_another_error_comes_with_the_last_lines_of_the_output():
    with pytest.raises(RuntimeError, match="KeyError: 'the reason'"):
        run_in_driver(call(raise_an_error, text="the reason"))
    with pytest.raises(RuntimeError, match="ended with code 9") as error:
        run_in_driver(call(break_down))
    assert "line 99\n" in str(error.value)
    assert "line 50\n" not in str(error.value), "the whole log is in the message"


def test_a_preempted_call_comes_through_with_its_step():
    with pytest.raises(Preempted, match=r"^Preempted after step 12\."):
        run_in_driver(call(leave, step="12"))


def test_a_driver_that_dies_after_its_function_returned_has_not_succeeded():
    with pytest.raises(RuntimeError, match="SIGABRT"):
        run_in_driver(call(return_and_crash))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeoutError])
def test_an_error_in_the_parent_stops_the_driver_and_all_it_started(tmp_path, kind):
    file = tmp_path / "pids"
    started = time.monotonic()

    def interrupt(signum: int, frame: object) -> None:
        if file.exists() or time.monotonic() > started + 20:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise kind("stop")

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.1)
    try:
        with pytest.raises(kind, match="stop"):
            run_in_driver(call(linger, file=str(file)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    driver, child = map(int, file.read_text().split())
    try:
        assert not _is_alive(driver)
        assert _wait_until(lambda: not _is_alive(child), 2), "a process of the driver is left"
    finally:
        _end(child)


def test_the_driver_dies_with_its_parent(tmp_path):
    file = tmp_path / "pids"
    code = (
        "from components.core.processes import call, driver;"
        f"driver.run_in_driver(call.Call(**{call(linger, file=str(file)).model_dump()!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT)
    assert _wait_until(file.exists, 20)
    driver, child = map(int, file.read_text().split())
    try:
        assert _is_alive(driver)
        parent.kill()
        parent.wait()
        assert _wait_until(lambda: not _is_alive(driver), 5)
    finally:
        _end(child)


def test_a_parent_that_dies_while_the_driver_starts_leaves_none_behind(tmp_path):
    """Between `fork` and the driver's first line there are tens of milliseconds."""
    file = tmp_path / "pids"
    code = (
        "import os, signal, subprocess\n"
        "from components.core.processes import call, driver\n"
        "class Watched(subprocess.Popen):\n"
        "    def __init__(self, *words, **options):\n"
        "        super().__init__(*words, **options)\n"
        "        print(self.pid, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "subprocess.Popen = Watched\n"
        f"driver.run_in_driver(call.Call(**{call(linger, file=str(file)).model_dump()!r}))\n"
    )
    # whoever adopts the orphan must not be this process, so that pytest is no parent of it either
    parent = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True
    )
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    driver = int(parent.stdout)
    try:
        assert _wait_until(lambda: not _is_alive(driver), 5), "the driver works for nobody"
        assert not file.exists()
    finally:
        _end(driver)


def test_the_driver_is_in_a_session_of_its_own_and_reads_no_terminal(tmp_path):
    file = tmp_path / "session"
    run_in_driver(call(describe, file=str(file)))
    session, stdin = file.read_text().split()
    assert int(session) != os.getsid(0)
    assert stdin == "/dev/null"


def describe(payload: dict[str, str]) -> None:
    stdin = Path("/proc/self/fd/0").readlink()
    assert os.getsid(0) == os.getpid()
    signal_when_parent_dies = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(signal_when_parent_dies))
    assert signal_when_parent_dies.value == signal.SIGKILL
    Path(payload["file"]).write_text(f"{os.getsid(0)} {stdin}")


def _end(pid: int) -> None:
    if _is_alive(pid):
        os.kill(pid, signal.SIGKILL)
