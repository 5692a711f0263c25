"""Local files and folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from components.data.sources.source import Blob, Budget, Reading
from components.data.sources.streams import Counted, buffered


def path_of(location: str) -> Path:
    """Return the path that a location means, `file://` or not."""
    if location.startswith("file://"):
        return Path(unquote(urlsplit(location).path))
    return Path(location).expanduser()


def local_files(reading: Reading) -> Iterator[Blob]:
    """Yield the files of a folder in the order of their paths, or the one.

    Raises ValueError if there is nothing.
    """
    top = path_of(reading.source.location)
    if not top.exists():
        raise ValueError(f"{top} does not exist: give a file, a folder or a URL")
    found = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
    if not found:
        raise ValueError(f"{top} is empty: put documents into it")
    for file in found:
        relative = file.relative_to(top).as_posix() if file != top else file.name
        place = relative if file == top else f"{top.resolve().name}/{relative}"
        yield blob_of_file(reading, file, relative, place)


def blob_of_file(reading: Reading, file: Path, name: str, place: str) -> Blob:
    """Return a local file as a blob."""
    budget = Budget(reading.source.max_ratio)

    def opened() -> BinaryIO:
        budget.size = file.stat().st_size
        return buffered(Counted(cast("BinaryIO", file.open("rb", buffering=0)), reading, budget))

    return Blob(name=name, kind=name.rpartition("/")[2], place=place, open=opened, budget=budget)
