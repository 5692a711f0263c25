"""A lease on an output folder: of all runs, on all machines that share it, one may write.

`<out>/.lease/<number>.json` names a holder, and the highest number holds. A number is won by
`os.link`, which a shared file system does atomically where `flock` does not reach, and is never
given twice: whoever was taken for dead finds a higher one and must not write (fencing). The file's
time of change is the heartbeat. It is compared with that of a file just written in the same folder,
so that only the clock of the file server counts.
"""

import logging
import os
import socket
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from components.core.artifacts.base import Frozen

logger = logging.getLogger(__name__)

OWNER = "BLOOMERY_OWNER"  # environment variable: the run that workers which start again belong to
_FOLDER = ".lease"
_HEARTBEAT_SECONDS = 10.0
_STALE_SECONDS = 60.0


class LeaseLost(RuntimeError):
    """Another run took the folder over; what this one has must not be written there."""


class Holder(Frozen):
    """Who may write."""

    owner: str
    """The run; one that starts its workers again stays the owner."""
    host: str
    """Machine it runs on."""
    pid: int
    """Process there."""
    released: bool = False
    """Whether it is done."""

    def __str__(self) -> str:
        """Return what a person needs to find it."""
        return f"run {self.owner} (process {self.pid} on {self.host})"


class Lease:
    """The right to write a folder, kept alive by a thread until it is released."""

    def __init__(self, folder: Path, number: int, holder: Holder, heartbeat_seconds: float) -> None:
        """Keep the lease `number` that was won; `take` wins one."""
        self.number = number
        self._folder = folder
        self._holder = holder
        self._heartbeat_seconds = heartbeat_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(cls, out: Path, owner: str, heartbeat_seconds: float = _HEARTBEAT_SECONDS) -> Self:
        """Take the lease on `out`, over from a holder that is dead, silent or of the same owner.

        Raises:
            ValueError: another run holds it.
        """
        folder = out / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        holder = Holder(owner=owner, host=socket.gethostname(), pid=os.getpid())
        number = _win(folder, holder)
        for old in _taken(folder):
            if old < number:
                _file(folder, old).unlink(missing_ok=True)
        return cls(folder, number, holder, heartbeat_seconds)

    def check(self) -> None:
        """Make sure that this lease still holds; to be called before anything is committed.

        Raises:
            LeaseLost: it was taken over.
        """
        if (latest := _latest(self._folder)) != self.number:
            raise LeaseLost(
                f"{self._folder.parent} was taken over (lease {latest}) from {self._holder}, which "
                f"held lease {self.number} and was silent for too long. It writes nothing more."
            )

    def release(self) -> None:
        """Let the next one have it at once; the number stays taken."""
        self._done.set()
        self._thread.join()
        if _latest(self._folder) == self.number:
            file = _file(self._folder, self.number)
            try:
                _written(self._folder, self._holder.model_copy(update={"released": True})).replace(
                    file
                )
            except OSError as error:  # a full disk: to have been silent for long takes no space
                logger.warning("lease %d left without a word: %s", self.number, error)
                os.utime(file, (0, 0))

    def __enter__(self) -> Self:
        """Return the lease itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release it."""
        self.release()

    def _beat(self) -> None:
        while not self._done.wait(self._heartbeat_seconds):
            try:
                os.utime(_file(self._folder, self.number))
            except FileNotFoundError:
                return  # taken over; the next check says so
            except OSError as error:  # a file server that comes back within a minute
                logger.warning("no heartbeat in %s: %s", self._folder, error)


def _win(folder: Path, holder: Holder) -> int:
    """Return the number that `holder` won."""
    while True:
        aside = _written(folder, holder)
        try:
            latest = _latest(folder)
            _refuse_if_held(folder, latest, holder, now=aside.stat().st_mtime)
            os.link(aside, _file(folder, latest + 1))
        except (FileExistsError, FileNotFoundError):  # another was faster; it may hold now
            continue
        finally:
            aside.unlink()
        if _latest(folder) == latest + 1:
            return latest + 1
        _file(folder, latest + 1).unlink(missing_ok=True)  # won a number that was long past


def _refuse_if_held(folder: Path, number: int, taker: Holder, now: float) -> None:
    if number == 0:
        return
    file = _file(folder, number)
    holder = Holder.model_validate_json(file.read_text("utf-8"))
    silent = now - file.stat().st_mtime
    is_here = holder.host == taker.host
    if holder.released or holder.owner == taker.owner or silent > _STALE_SECONDS:
        return
    if is_here and not _lives(holder.pid):
        return
    raise ValueError(
        f"{folder.parent} is being written by {holder}, last heard of {silent:.0f} s ago. Stop it "
        f"or wait for it; if it is dead, the same command works in {_STALE_SECONDS:.0f} s."
    )


def _latest(folder: Path) -> int:
    """Return the highest number that was taken, 0 if none was."""
    return max(_taken(folder), default=0)


def _taken(folder: Path) -> list[int]:
    return [int(file.stem) for file in folder.glob("[0-9]*.json")]


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.json"


def _written(folder: Path, holder: Holder) -> Path:
    """Return a new file that holds `holder`, under a name that no one else has."""
    aside = folder / f"new-{uuid.uuid4().hex}"
    with aside.open("w", encoding="utf-8") as stream:
        stream.write(holder.model_dump_json() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return aside


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"  # a zombie writes nothing
