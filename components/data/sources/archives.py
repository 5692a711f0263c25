"""Members of .zip and .tar as streams: nothing is ever written under a name that they give."""

import io
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, cast

from components.data.sources.compression import Expanded
from components.data.sources.documents import reject
from components.data.sources.leftovers import name_in_zip, readable
from components.data.sources.losses import of_size
from components.data.sources.source import ArchiveLimit, Blob, Reading, Reject
from components.data.sources.streams import buffered

MAX_DEPTH = 3
MAX_ENTRIES = 100_000
_MAX_DIRECTORY_BYTES = 16 << 20  # zipfile holds the whole directory, at six times its size
_MAX_HEADER_BYTES = 1 << 20  # tarfile holds a long name or a list of attributes whole
_ZIP64_BYTES = 76  # what ends a large zip file before its end
_BLOCK = 1 << 20
_TAR_BLOCK = 512


class _Member(tarfile.TarInfo):
    """A tar header that refuses to be a bomb itself."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        """Read a header. Raises ArchiveLimit where it announces a huge one."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in b"xgLKX" and found.size > _MAX_HEADER_BYTES:
            raise ArchiveLimit(f"a header of {found.size} bytes: unpack it yourself")
        return found


def members(reading: Reading, blob: Blob) -> Iterator[Blob | Reject]:
    """Yield the files in an archive, each to be read before the next, and the refused entries.

    Links, devices, and names that lead out of a folder are refused. Raises ArchiveLimit.
    """
    if blob.depth > MAX_DEPTH:
        raise ArchiveLimit(f"archives {blob.depth} deep: unpack the inner ones yourself")
    walk = _zip_members if blob.kind.lower().endswith(".zip") else _tar_members
    names = set[str]()
    for number, member in enumerate(walk(reading, blob)):
        if number >= MAX_ENTRIES:
            raise ArchiveLimit(f"more than {MAX_ENTRIES} entries: unpack it yourself")
        if isinstance(member, Blob) and member.name in names:
            yield reject(reading, member, "unsafe entry", "a name that was there before")
            continue
        if isinstance(member, Blob):
            names.add(member.name)
        yield member


def _member(reading: Reading, blob: Blob, name: str, problem: str) -> Blob | Reject:
    name = readable(name.replace("\\", "/"))
    windows = PureWindowsPath(name)
    if ".." in windows.parts or windows.drive or windows.root or "\0" in name:
        problem = "a name that leads out of the folder"
    inner = replace(
        blob,
        name=f"{blob.name}/{name}",
        kind=PurePosixPath(name).name,
        metadata=blob.metadata | {"member": name},
    )
    if problem:
        return reject(reading, inner, "unsafe entry", f"{name!r}: {problem}")
    return inner


def _tar_members(reading: Reading, blob: Blob) -> Iterator[Blob | Reject]:
    """Yield the members of a tar file, of those that were put behind it too, and what is none."""
    with blob.open() as stream:
        rest, num_archives = stream, 0
        while num_archives == 0 or (rest := _after_zeros(rest)) is not None:
            try:
                archive = _opened_tar(rest)
            except tarfile.ReadError:
                if num_archives == 0:
                    raise
                yield _no_archive(reading, blob, rest)
                return
            with archive:
                yield from _entries(reading, blob, archive)
                rest, num_archives = cast("BinaryIO", archive.fileobj), num_archives + 1


def _opened_tar(stream: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member, errorlevel=2)


def _entries(reading: Reading, blob: Blob, archive: tarfile.TarFile) -> Iterator[Blob | Reject]:
    while (entry := archive.next()) is not None:
        cast("Any", archive).members.clear()  # else it keeps them all
        if entry.isdir():
            continue
        problem = "" if entry.isfile() else "a link or a device"
        found = _member(reading, blob, entry.name, problem)
        if isinstance(found, Blob):

            def opened(entry: tarfile.TarInfo = entry) -> BinaryIO:
                extracted = archive.extractfile(entry)
                assert extracted is not None, "it is a file"
                return cast("BinaryIO", extracted)

            found = replace(found, open=opened, size=entry.size)
        yield found


def _after_zeros(stream: BinaryIO) -> BinaryIO | None:
    """Return a stream from its next block that is not all zeros; None if there is none."""
    while block := stream.read(_TAR_BLOCK):
        if block.strip(b"\0"):
            return buffered(_Joined(block, stream))
    return None


def _no_archive(reading: Reading, blob: Blob, stream: BinaryIO) -> Reject:
    size = 0
    while block := stream.read(_BLOCK):
        size += len(block)
    detail = f"{size} bytes after the end of the archive that are none: what they were is lost"
    return of_size(blob, reject(reading, blob, "trailing bytes", detail), size)


class _Joined(io.RawIOBase):
    """Some bytes, and after them a stream."""

    def __init__(self, start: bytes, below: BinaryIO) -> None:
        """Begin with `start`."""
        self._start, self._below = start, below

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits."""
        block = self._start[: len(buffer)] or self._below.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


def _zip_members(reading: Reading, blob: Blob) -> Iterator[Blob | Reject]:
    with seekable(reading, blob).open() as stream:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                name = name_in_zip(entry)
                if name.endswith("/"):
                    continue
                mode = entry.external_attr >> 16 & 0o170000
                problem = "" if mode in (0, 0o100000) else "a link or a device"
                found = _member(reading, blob, name, problem)
                if isinstance(found, Blob):

                    def opened(entry: zipfile.ZipInfo = entry) -> BinaryIO:
                        inner = cast("BinaryIO", archive.open(entry))
                        return buffered(Expanded(inner, blob.budget))

                    found = replace(found, open=opened, size=entry.file_size)
                yield found


def _check_directory(stream: BinaryIO) -> None:
    """Raise ArchiveLimit if the directory of a zip file is too large to hold in memory.

    Source: APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16. Whichever of the places that look like
    the end zipfile takes, it is among those checked.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 22 - _ZIP64_BYTES))
    tail = stream.read()
    stream.seek(0)
    for found in re.finditer(b"PK\x05\x06", tail):
        place = found.start()
        sizes = tail[place + 12 : place + 16], tail[place - 36 : place - 28]
        is_zip64 = tail[max(0, place - 20) : place].startswith(b"PK\x06\x07")
        num_bytes = int.from_bytes(sizes[is_zip64], "little")
        if num_bytes > _MAX_DIRECTORY_BYTES:
            raise ArchiveLimit(f"a directory of {num_bytes} bytes: unpack it yourself")


def seekable(reading: Reading, blob: Blob) -> Blob:
    """Return a blob in which one can go back: a copy without a name, if it is inside another."""

    def opened() -> BinaryIO:
        stream = blob.open()
        if blob.depth == 0 and stream.seekable():
            return stream
        reading.state.mkdir(parents=True, exist_ok=True)
        with ExitStack() as on_error:
            copy = on_error.enter_context(tempfile.TemporaryFile(dir=reading.state))
            with stream:
                shutil.copyfileobj(stream, copy, _BLOCK)
            copy.seek(0)
            on_error.pop_all()
            return cast("BinaryIO", copy)

    return replace(blob, open=opened)
