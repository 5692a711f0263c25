"""A full disk: which file system it is, what is free there, and how much is missing."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components.core.settings import settings

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAID = ("no space left on device", "disk is full", "disk quota exceeded", "os error 28")
"""What libraries say that raise an error of their own: SQLite, safetensors, Arrow, DVC, torch."""
_FULL_BYTES = 32 << 20  # with so little left, whatever went wrong may be for want of space
LEAST = 200_000_000
"""Bytes that a run or the servers begin with: databases, logs, and a small model with its data."""
_ON = "on the file system"
_UNITS = ("B", "kB", "MB", "GB", "TB")


def require_room(place: Path, num_bytes: int, what: str) -> None:
    """Refuse to begin `what`, which writes so much below `place`, where there is not that much.

    Raises:
        ValueError: how much is missing, and where.
    """
    free = _free(place)
    if free < num_bytes:
        raise ValueError(
            f"The disk is full: {what} needs {size(num_bytes)} and {_named(place)} has "
            f"{size(free)} free, so {size(num_bytes - free)} are missing. {_remedy(place)}"
        )


def is_full(error: BaseException) -> bool:
    """Return whether an error, or what led to it, is for want of space."""
    return any(
        getattr(each, "errno", None) in _FULL or any(said in str(each).lower() for said in _SAID)
        for each in _causes(error)
    )


def explained(error: BaseException) -> str | None:
    """Return what a person must know of an error that is, or may be, for want of space.

    None if it is not, or says so itself, or a value was wrong however full the disk is.
    """
    if any(getattr(each, "errno", None) == errno.EFBIG for each in _causes(error)):
        return "A file became larger than this shell allows: `ulimit -f` says how large."
    full = is_full(error)
    if _ON in str(error) or (not full and isinstance(error, ValueError)):
        return None
    named = [place for each in _causes(error) if (place := _file_of(each))] if full else []
    found = {_device(place): place for place in [*_places(), *named[::-1]]}
    tight = [place for place in found.values() if _free(place) < _FULL_BYTES]
    if not full and not tight:
        return None
    shown = tight or named[:1] or list(found.values())
    begins = "The disk is full" if full else "The disk is nearly full, which may be the reason"
    return f"{begins}: {'; '.join(map(_free_at, shown))}. {_remedy(shown[0])}"


def with_place(error: OSError, place: Path) -> OSError:
    """Return the error of a full disk with the place in its words, for whoever reads it alone."""
    where = _file_of(error) or place
    said = f"{error.strerror or error}: {_free_at(where)}. {_remedy(where)}"
    return OSError(error.errno, said) if error.errno else OSError(said)


def size(num_bytes: float) -> str:
    """Return a number of bytes for people: `1.2 GB`."""
    value, unit = float(num_bytes), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.{1 if unit > 1 and value < 100 else 0}f} {_UNITS[unit]}"


def _free(place: Path) -> int:
    return shutil.disk_usage(_there(place)).free


def _free_at(place: Path) -> str:
    found = os.statvfs(_there(place))
    if found.f_files and not found.f_favail:
        return f"{_named(place)} has no room for another file (inodes)"
    return f"{_named(place)} has {size(_free(place))} free"


def _there(place: Path) -> Path:
    """Return the nearest folder of `place` that is there."""
    whole = place.absolute()
    return next(folder for folder in (whole, *whole.parents) if folder.exists())


def _device(place: Path) -> int:
    return _there(place).stat().st_dev


def _named(place: Path) -> str:
    """Return a place with the mount point of its file system."""
    mount = _there(place).resolve()
    while not mount.is_mount() and mount != mount.parent:
        mount = mount.parent
    return f"{place} ({_ON} {mount})"


def _remedy(place: Path) -> str:
    home = settings().home.resolve()
    move = "" if not place.absolute().is_relative_to(home) else ", or move BLOOMERY_HOME elsewhere"
    return f"Free some space{move}, and run the same command again: what was finished is kept."


def _places() -> Iterator[Path]:
    """Yield the folders that commands write to."""
    yield settings().home.resolve()
    yield settings().project.resolve()
    yield Path(tempfile.gettempdir())
    if cache := os.environ.get("HF_HOME"):
        yield Path(cache)


def _file_of(error: BaseException) -> Path | None:
    """Return the file that an error names."""
    if isinstance(error, OSError) and isinstance(error.filename, str):
        return Path(error.filename)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from."""
    seen, each = set[int](), error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
