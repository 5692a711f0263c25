"""Notice to leave: SIGTERM becomes a question that a training loop asks at each step boundary.

Spot machines, Kubernetes, torchrun and Prefect all say it with SIGTERM and wait about 30 s before
they kill. A loop that listens saves a checkpoint in that time and raises `Preempted`.
"""

import ctypes
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

_requested = threading.Event()
_waiting = deque[Callable[[], object]]()


class Preempted(Exception):
    """A training left at a step boundary because it was told to, and can go on from there."""

    def __init__(self, step: int) -> None:
        """`step`: the step whose checkpoint was saved."""
        super().__init__(step)
        self.step = step

    def __str__(self) -> str:
        """Return what happened and what to do."""
        return f"Preempted after step {self.step}. The same command goes on where this one stopped."


@contextmanager
def listen(then: Callable[[], object] = lambda: None) -> Generator[None]:
    """Make SIGTERM to this process a mere request in the block; `then` is called at each.

    Any thread may listen. Signals are the main thread's alone, and in a Ray worker that is not the
    one that trains: it is then asked to install the handler as soon as it runs Python again, which
    in Ray Train is at the next health check.
    """

    def request(signum: int, frame: object) -> None:
        _requested.set()
        then()

    before = deque[signal.Handlers | Callable[..., object] | int | None]()
    _in_main_thread(lambda: before.append(signal.signal(signal.SIGTERM, request)))
    try:
        yield
    finally:
        _in_main_thread(lambda: signal.signal(signal.SIGTERM, before.pop() or signal.SIG_DFL))
        _requested.clear()


def request() -> None:
    """Ask this process to leave, as SIGTERM does."""
    _requested.set()


def requested() -> bool:
    """Return whether this process was asked to leave."""
    return _requested.is_set()


def _in_main_thread(call: Callable[[], object]) -> None:
    """Do the call in the main thread: at once if this is it, else when that next runs Python."""
    if threading.current_thread() is threading.main_thread():
        call()
    else:
        _waiting.append(call)
        ctypes.pythonapi.Py_AddPendingCall(_call_next, None)


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
def _call_next(_: None) -> int:
    _waiting.popleft()()
    return 0
