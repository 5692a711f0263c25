"""Work on Ray from a driver process: one for each call, or one that a whole run keeps warm.

Starting Ray takes seconds, and so do the imports of its workers. A run of the data steps asks for
it a dozen times.
"""

import importlib
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from components.core.processes.driver import run_in_driver

logger = logging.getLogger(__name__)

_STOP_SECONDS = 15.0


def run_on_ray(target: str, payload: dict[str, Any]) -> None:
    """Call `target` ("package.module:function") with the JSON `payload` in a driver with Ray.

    Within `kept_ray` it is the driver of the call before. Raises as `run_in_driver` does.
    """
    request = {"target": target, "payload": payload}
    if _kept:
        _kept[-1].call(request)
    else:
        run_in_driver(f"{__name__}:alone", request)


@contextmanager
def kept_ray() -> Generator[None]:
    """Let all `run_on_ray` of this block share one driver and one Ray, started by the first."""
    _kept.append(driver := _KeptDriver())
    try:
        yield
    finally:
        _kept.remove(driver)
        driver.stop()


class _KeptDriver:
    """A driver process that takes calls over a socket, a line of JSON each, and answers in turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._pid: int | None = None
        self._is_idle = True

    def call(self, request: dict[str, Any]) -> None:
        """Have the driver do it. Raises ValueError as it did, or RuntimeError if it ended."""
        with self._lock:
            if self._thread is None:
                self._start()
            self._is_idle = False
            with suppress(BrokenPipeError):
                self._stream.write(json.dumps(request) + "\n")
                self._stream.flush()
            answer = self._stream.readline()
            if not answer:
                self._raise_its_end()
            self._is_idle = True
        if (error := json.loads(answer)["error"]) is not None:
            raise ValueError(error)

    def stop(self) -> None:
        """End the driver: at once if it is at work, which nobody waits for any more."""
        if self._thread is None:
            return
        if not self._is_idle:
            self._signal(signal.SIGINT)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            logger.warning("driver %s does not stop and is killed", self._pid)
            self._signal(signal.SIGKILL)
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, number)

    def _close(self) -> None:
        assert self._thread is not None
        self._thread.join()
        self._thread = self._pid = None
        self._stream.close()
        self._socket.close()

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self._thread = threading.Thread(target=self._run, args=(theirs,), name="ray-driver")
        self._thread.start()
        if not (hello := self._stream.readline()):
            self._raise_its_end()
        self._pid = json.loads(hello)["pid"]

    def _run(self, theirs: socket.socket) -> None:
        fd = theirs.fileno()
        try:
            run_in_driver(f"{__name__}:serve", {"fd": fd}, pass_fds=(fd,))
        except (ValueError, RuntimeError) as error:
            self._error = error
        finally:
            theirs.close()  # what waits for an answer reads the end of it

    def _raise_its_end(self) -> NoReturn:
        self._close()
        self._is_idle = True
        error, self._error = self._error, None
        raise error or RuntimeError("The driver of this run's Ray has ended. Run again.")


_kept: list[_KeptDriver] = []


def alone(request: dict[str, Any]) -> None:
    """Do one call on a Ray of its own; runs in the driver process."""
    from components.core.processes.ray_session import ray_session

    with ray_session():
        _do(request)


def serve(payload: dict[str, Any]) -> None:
    """Do every call that comes until nobody sends more; runs in the driver process."""
    from components.core.processes.ray_session import ray_session

    with (
        socket.socket(fileno=payload["fd"]) as ours,
        ours.makefile("rw", encoding="utf-8") as calls,
    ):
        os.set_inheritable(ours.fileno(), False)  # Ray's processes would hold it open
        calls.write(json.dumps({"pid": os.getpid()}) + "\n")
        calls.flush()
        with ray_session():
            for line in calls:
                calls.write(json.dumps({"error": _refusal(json.loads(line))}) + "\n")
                calls.flush()


def _refusal(request: dict[str, Any]) -> str | None:
    try:
        _do(request)
    except ValueError as error:
        return str(error)
    return None


def _do(request: dict[str, Any]) -> None:
    module, function = request["target"].split(":")
    getattr(importlib.import_module(module), function)(request["payload"])
