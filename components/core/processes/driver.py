"""Work that needs a process of its own: the Ray driver of a step.

The driver is a subprocess in its own session. It dies with its parent (PR_SET_PDEATHSIG), is
stopped with SIGINT first, and reports an error a user can mend as a message, not as a traceback.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path

from components.core.files import write_atomically
from components.core.processes.call import (
    TAIL_LINES,
    Call,
    Done,
    Failed,
    Outcome,
    outcome_of,
    perform,
    raise_unless_done,
)

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 15.0  # Ray stops a training within 15 s of SIGINT
_OUTCOME = "outcome.json"  # beside the request; written once the call has ended


def run_in_driver(call: Call) -> None:
    """Do the call in a driver process; its output goes to the log.

    Raises as `raise_unless_done` does: ValueError or Preempted if the driver raised that, with the
    same message, and RuntimeError with the last lines if it failed otherwise.
    """
    raise_unless_done(outcome_in_driver(call))


def outcome_in_driver(call: Call, pass_fds: tuple[int, ...] = ()) -> Outcome:
    """Do the call in a driver process, which inherits the open files, and return how it ended."""
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        request = Path(folder) / "call.json"
        request.write_text(call.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(request), str(os.getpid())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=pass_fds,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        try:
            tail = _follow(process)
        except BaseException:
            _stop(process)
            raise
        file = request.with_name(_OUTCOME)
        outcome = outcome_of(file.read_text("utf-8")) if file.exists() else Done()
        has_died = process.returncode != 0 and isinstance(outcome, Done)
        return _death(call.target, process.returncode, tail) if has_died else outcome


def _death(target: str, code: int, tail: str) -> Failed:
    """Say how a driver ended that had nothing to say itself."""
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"{target} ended with code {code}, {name}. The same command goes on where it was."
        return Failed(reason=reason)
    return Failed(reason=f"{target} ended with code {code}. Its last lines:", tail=tail)


def _follow(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    for line in process.stdout:
        tail.append(line)
        logger.debug("%s", line.rstrip())
    process.wait()
    return "".join(tail)


def _stop(process: "subprocess.Popen[str]") -> None:
    """Stop the driver and all it started: with SIGINT, then for certain."""
    try:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        logger.warning("driver %d does not stop and is killed", process.pid)
    finally:
        with suppress(ProcessLookupError):  # nobody of its session is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def die_with_parent() -> None:
    """Have this process killed when the one that started it dies, however that comes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _main() -> int:
    request, parent = Path(sys.argv[1]), int(sys.argv[2])
    die_with_parent()
    if os.getppid() != parent:  # it died before the signal was asked for
        return 1
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    outcome = perform(Call.model_validate_json(request.read_text("utf-8")))
    write_atomically(request.with_name(_OUTCOME), outcome.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(_main())
