"""Work that needs a process of its own: the Ray driver of a step.

The driver is a subprocess in its own session. It dies with its parent (PR_SET_PDEATHSIG), is
stopped with SIGINT first, and reports an error a user can mend as a message, not as a traceback.
"""

import ctypes
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.core.processes.preemption import Preempted

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 15.0  # Ray stops a training within 15 s of SIGINT
_USER_ERROR = 3
_PREEMPTED = os.EX_TEMPFAIL


def run_in_driver(target: str, payload: dict[str, Any], pass_fds: tuple[int, ...] = ()) -> None:
    """Call `target` ("package.module:function") with the JSON `payload` in a driver process.

    The process inherits the open files `pass_fds`; its output goes to the log. Raises ValueError or
    Preempted if the driver raised that, with the same message, and RuntimeError with the end of its
    output if it failed otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        request = Path(folder) / "payload.json"
        request.write_text(json.dumps(payload), encoding="utf-8")
        command = [sys.executable, "-m", __name__, target, str(request), str(os.getpid())]
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
        answer = Path(folder) / "error.txt"
        if process.returncode == _USER_ERROR and answer.exists():
            raise ValueError(answer.read_text("utf-8"))
        if process.returncode == _PREEMPTED and answer.exists():
            raise Preempted(int(answer.read_text("utf-8")))
        if process.returncode != 0:
            raise RuntimeError(_end(target, process.returncode, tail))


def _end(target: str, code: int, tail: str) -> str:
    """Say how a driver ended that had nothing to say itself."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"{target} ended with code {code}, {name}. The same command goes on where it was."
    return f"{target} ended with code {code}. Its last lines:\n{tail}"


def _follow(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    tail: deque[str] = deque(maxlen=15)
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
    target, request, parent = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    die_with_parent()
    if os.getppid() != parent:  # it died before the signal was asked for
        return 1
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    module, function = target.split(":")
    answer = request.with_name("error.txt")
    try:
        getattr(importlib.import_module(module), function)(json.loads(request.read_text("utf-8")))
    except ValueError as error:
        answer.write_text(str(error), encoding="utf-8")
        return _USER_ERROR
    except Preempted as notice:
        answer.write_text(str(notice.step), encoding="utf-8")
        return _PREEMPTED
    return 0


if __name__ == "__main__":
    sys.exit(_main())
