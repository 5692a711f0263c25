"""What a command and all its processes use: seconds of the clock, of processors, and memory."""

import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

_EVERY_SECONDS = 0.3


_TOLD_CHARACTERS = 3000  # of what a command said that failed


class Used(NamedTuple):
    """What a command used."""

    seconds: float
    """By the clock, starts included."""
    cpu_seconds: float
    """Of all its processes: what neighbours on a machine change least."""
    peak_bytes: int
    """Largest memory of all processes at once; what they share counts once (PSS)."""
    output: str
    """What it printed."""


def watched(
    command: list[str], environment: dict[str, str], log: Path, folder: Path | None = None
) -> Used:
    """Run a command to its end, in `folder`, whose modules it finds first; its errors go to `log`.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    start = time.perf_counter()
    environment = {**os.environ, **environment}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder
        )
    watch = _Watch(psutil.Process(process.pid))
    watch.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    watch.join()
    if process.returncode:
        error = subprocess.CalledProcessError(process.returncode, command, output)
        error.add_note(log.read_text("utf-8")[-_TOLD_CHARACTERS:])
        raise error
    return Used(seconds, sum(watch.cpu_seconds.values()), watch.peak_bytes, output)


class _Watch(threading.Thread):
    """Looks at a process and all below it until it ends; the last moments of each go unseen."""

    def __init__(self, root: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._root = root
        self.cpu_seconds: dict[psutil.Process, float] = {}
        self.peak_bytes = 0

    def run(self) -> None:
        with suppress(psutil.NoSuchProcess):  # it has ended
            while self._root.status() != psutil.STATUS_ZOMBIE:
                self._look([self._root, *self._root.children(recursive=True)])
                time.sleep(_EVERY_SECONDS)

    def _look(self, processes: list[psutil.Process]) -> None:
        num_bytes = 0
        for process in processes:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = process.cpu_times()
                self.cpu_seconds[process] = times.user + times.system
                num_bytes += process.memory_full_info().pss
        self.peak_bytes = max(self.peak_bytes, num_bytes)
