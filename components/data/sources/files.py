"""Local files and folders."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from components.data.sources.documents import reject
from components.data.sources.leftovers import readable
from components.data.sources.source import Blob, Budget, Reading, Reject
from components.data.sources.streams import Counted, buffered

LINK = "link"
_PATTERN = re.compile(r"[*?[]")


def path_of(location: str) -> Path:
    """Return the path that a location means, `file://` or not."""
    if location.startswith("file://"):
        return Path(unquote(urlsplit(location).path))
    return Path(location).expanduser()


def local_files(reading: Reading) -> Iterator[Blob | Reject]:
    """Yield the files of a folder in the order of their paths, or the one; of several, all.

    Files are named by their path below the folder, or below what several have in common. Links are
    followed; one that leads nowhere or round in a circle is a reject. Raises ValueError if there is
    nothing.
    """
    source = reading.source
    tops = [top for location in (source.location, *source.more) for top in _matched(location)]
    if len(tops) == 1:
        yield from _below(reading, tops[0], tops[0] if tops[0].is_dir() else tops[0].parent)
        return
    common = Path(os.path.commonpath([top.resolve().parent for top in tops]))
    for top in dict.fromkeys(top.resolve() for top in tops):
        yield from _below(reading, top, common)


def _matched(location: str) -> list[Path]:
    """Return the path that is meant, or those that a pattern matches."""
    path = path_of(location)
    if path.exists():
        return [path]
    if not _PATTERN.search(str(path)):
        raise ValueError(f"{path} does not exist: give a file, a folder or a URL")
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not found:
        raise ValueError(f"{path} matches nothing: give a file, a folder or a URL")
    return found


def _below(reading: Reading, top: Path, base: Path) -> Iterator[Blob | Reject]:
    found = [top] if top.is_file() else sorted(_walk(top))
    if not found:
        raise ValueError(f"{top} is empty: put documents into it")
    for file in found:
        name = file.relative_to(base).as_posix()
        place = name if file == top else f"{base.resolve().name}/{name}"
        blob = blob_of_file(reading, file, name, place)
        if file.is_file():
            yield blob
        else:
            problem = "a folder that it is itself in" if file.is_dir() else "nothing that is there"
            yield reject(reading, blob, LINK, f"a link to {problem}: {str(file.readlink())!r}")


def _walk(top: Path) -> Iterator[Path]:
    """Yield the files below a folder, through links to folders, and links that lead to none.

    A link to a folder that it lies in itself would go round in circles: it is yielded as it is.
    """
    pending: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(top, (_identity(top),))]
    while pending:
        folder, above = pending.pop()
        for path in folder.iterdir():
            if path.is_dir():
                identity = _identity(path)
                if identity in above:
                    yield path
                else:
                    pending.append((path, (*above, identity)))
            elif path.is_file() or path.is_symlink():
                yield path


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def blob_of_file(reading: Reading, file: Path, name: str, place: str) -> Blob:
    """Return a local file as a blob."""
    budget = Budget(reading.source.max_ratio)

    def opened() -> BinaryIO:
        budget.size = file.stat().st_size
        return buffered(Counted(cast("BinaryIO", file.open("rb", buffering=0)), reading, budget))

    name, place = readable(name), readable(place)
    return Blob(name=name, kind=name.rpartition("/")[2], place=place, open=opened, budget=budget)
