"""Notice to leave: SIGTERM becomes a question that a training loop asks at each step boundary.

Spot machines, Kubernetes, torchrun and Prefect all say it with SIGTERM and wait about 30 s before
they kill; a terminal says it with SIGHUP when it is closed, and with SIGINT for Ctrl-C. A loop that
listens saves a checkpoint in that time and raises `Preempted`. Where nobody listens, work ends at
once: what is finished is kept.
"""

import ctypes
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

_requested = threading.Event()
_waiting = deque[Callable[[], object]]()
_heard = deque[int](maxlen=1)  # the last signal
_Handler = signal.Handlers | Callable[..., object] | int | None


class Preempted(Exception):
    """Work was told to leave, and the same call goes on with it."""

    def __init__(self, step: int | None = None) -> None:
        """`step`: the step whose checkpoint was saved, None if there is no checkpoint."""
        super().__init__(step)
        self.step = step

    def __str__(self) -> str:
        """Return what happened and what to do."""
        if self.step is None:
            return (
                "Preempted before there was a checkpoint. The same command keeps the finished "
                "steps and begins this one again."
            )
        return f"Preempted after step {self.step}. The same command goes on where this one stopped."


class Leave(BaseException):
    """What ends work at once; no `except Exception` of a library swallows it."""


def saved_step(out: Path) -> int | None:
    """Return the step of the newest checkpoint of a training in `out`, None if there is none."""
    manifests = out.glob("checkpoints/step_*/manifest.json")
    return max((int(file.parent.name.removeprefix("step_")) for file in manifests), default=None)


@contextmanager
def listen(then: Callable[[], object] = lambda: None) -> Generator[None]:
    """Make a signal to this process a mere request in the block; `then` is called at each.

    A second Ctrl-C is KeyboardInterrupt. Any thread may listen. Signals are the main thread's
    alone, and in a Ray worker that is not the one that trains: it is then asked to install the
    handler as soon as it runs Python again, which in Ray Train is at the next health check. There
    SIGINT is left to Ray.
    """

    def request(number: int, frame: object) -> None:
        if number == signal.SIGINT and _requested.is_set():
            raise KeyboardInterrupt
        _heard.append(number)
        _requested.set()
        then()

    numbers = [signal.SIGTERM, signal.SIGHUP]
    if threading.current_thread() is threading.main_thread():
        numbers.append(signal.SIGINT)
    before = dict[int, _Handler]()
    _in_main_thread(lambda: _install(request, numbers, before))
    try:
        yield
    finally:
        _in_main_thread(lambda: _restore(before))
        _requested.clear()


@contextmanager
def interruptible(out: Path | None = None) -> Generator[None]:
    """End the block at SIGTERM or SIGHUP, unless something in it listens.

    Args:
        out: Where a training writes; what is said of its checkpoint is then true.

    Raises:
        Preempted: there was a signal.
    """
    is_leaving = False

    def leave(number: int, frame: object) -> None:
        nonlocal is_leaving
        if not is_leaving:  # a second signal does not end what the first one cleans up
            is_leaving = True
            _heard.append(number)
            raise Leave

    before = dict[int, _Handler]()
    if threading.current_thread() is threading.main_thread():
        _install(leave, [signal.SIGTERM, signal.SIGHUP], before)
    try:
        yield
    except Leave:
        raise Preempted(saved_step(out) if out is not None else None) from None
    finally:
        _restore(before)


def request() -> None:
    """Ask this process to leave, as SIGTERM does."""
    _requested.set()


def requested() -> bool:
    """Return whether this process was asked to leave."""
    return _requested.is_set()


def was_ctrl_c() -> bool:
    """Return whether the last request was Ctrl-C: a person stopped this, and not a machine."""
    return list(_heard) == [signal.SIGINT]


def _install(
    handler: Callable[[int, object], None],
    numbers: list[signal.Signals],
    before: dict[int, _Handler],
) -> None:
    """Have `handler` called at the signals that are not ignored, as `nohup` ignores SIGHUP."""
    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, handler)


def _restore(before: dict[int, _Handler]) -> None:
    while before:
        number, handler = before.popitem()
        signal.signal(number, handler or signal.SIG_DFL)


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
