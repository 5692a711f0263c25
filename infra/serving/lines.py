"""Lines appended to a file by a thread of its own: no answer waits for a disk."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

_MOST = 10_000  # rows that wait; what comes then is lost, and said
_Row = TypeVar("_Row")


class Lines(Generic[_Row]):
    """A file that only its owner can read."""

    def __init__(self, file: Callable[[], Path], text: Callable[[_Row], str]) -> None:
        """Append to `file()`, which may be another every day, what `text` makes of a row."""
        self._file, self._text = file, text
        self._rows = Queue[_Row](_MOST)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lines", daemon=True)
        self._thread.start()

    def add(self, row: _Row) -> None:
        """Append a row, soon."""
        try:
            self._rows.put_nowait(row)
        except Full:
            logger.warning("%s is behind: a row is lost", self._file().name)

    def close(self) -> None:
        """Write what waits, and end."""
        self._closing.set()
        self._thread.join(30)

    def _work(self) -> None:
        while True:
            try:
                row = self._rows.get(timeout=0.2)
            except Empty:
                if self._closing.is_set():
                    return
                continue
            try:
                self._append(self._text(row))
            except Exception:  # a full disk, or a row that cannot be masked: it is left out
                logger.exception("a row was not written to %s", self._file().name)

    def _append(self, text: str) -> None:
        file = self._file()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as lines:
            lines.write(f"{text}\n")
