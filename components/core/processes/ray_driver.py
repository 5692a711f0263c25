"""Work on Ray from a driver process: one for each call, or one that a whole run keeps warm.

Starting Ray takes seconds, and so do the imports of its workers. A run of the data steps asks for
it a dozen times.
"""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from components.core.processes.call import (
    Call,
    Done,
    Failed,
    Outcome,
    outcome_of,
    perform,
    raise_unless_done,
)
from components.core.processes.driver import outcome_in_driver, run_in_driver

logger = logging.getLogger(__name__)

_STOP_SECONDS = 15.0


def run_on_ray(target: str, payload: dict[str, Any]) -> None:
    """Call `target` ("package.module:function") with the JSON `payload` in a driver with Ray.

    Within `kept_ray` it is the driver of the call before. Raises as `run_in_driver` does.
    """
    call = Call(target=target, payload=payload)
    if _kept:
        raise_unless_done(_kept[-1].perform(call))
    else:
        run_in_driver(Call(target=f"{__name__}:alone", payload=call.model_dump()))


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
        self._end: Outcome | None = None
        self._pid: int | None = None
        self._is_idle = True

    def perform(self, call: Call) -> Outcome:
        """Have the driver do it and return how it ended; the driver itself, if that is gone.

        A call that failed takes the driver with it, whose Ray may be broken: the next starts anew.
        """
        with self._lock:
            if self._thread is None and (refusal := self._start()) is not None:
                return refusal
            self._is_idle = False
            with suppress(BrokenPipeError):
                self._stream.write(call.model_dump_json() + "\n")
                self._stream.flush()
            answer = self._stream.readline()
            self._is_idle = True
            outcome = outcome_of(answer) if answer else None
            if outcome is None or isinstance(outcome, Failed):
                self._close()
            return outcome or self._ended()

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

    def _start(self) -> Outcome | None:
        """Start the driver; return how it ended if it does not come so far."""
        self._socket, theirs = socket.socketpair()
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self._thread = threading.Thread(target=self._run, args=(theirs,), name="ray-driver")
        self._thread.start()
        if not (hello := self._stream.readline()):
            self._close()
            return self._ended()
        self._pid = json.loads(hello)["pid"]
        return None

    def _run(self, theirs: socket.socket) -> None:
        call = Call(target=f"{__name__}:serve", payload={"fd": theirs.fileno()})
        try:
            self._end = outcome_in_driver(call, pass_fds=(theirs.fileno(),))
        finally:
            theirs.close()  # what waits for an answer reads the end of it

    def _ended(self) -> Outcome:
        end, self._end = self._end, None
        if end is None or isinstance(end, Done):
            return Failed(reason="The driver of this run's Ray has ended. Run again.")
        return end


_kept: list[_KeptDriver] = []


def alone(payload: dict[str, Any]) -> None:
    """Do one call on a Ray of its own; runs in the driver process."""
    from components.core.processes.ray_session import ray_session

    with ray_session():
        outcome = perform(Call.model_validate(payload))
    raise_unless_done(outcome)


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
                outcome = perform(Call.model_validate_json(line))
                calls.write(outcome.model_dump_json() + "\n")
                calls.flush()
                if isinstance(outcome, Failed):
                    return
