"""Streams of bytes that count what goes through them and never hold more than a record."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, cast

from components.data.sources.source import SAMPLE_CHARACTERS, Budget, Reading

_BLOCK = 1 << 16
_COMPRESSION = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".tbz2": "bz2"}
MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LARGE_WINDOW = (
    "made with zstd --long, which takes up to 2 GB of memory to read: unpack it first with "
    "`zstd -d --long=31 FILE`"
)
_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]')


class Counted(io.RawIOBase):
    """A raw stream, seekable if the one below is, that counts what is read of it."""

    def __init__(self, below: BinaryIO, reading: Reading, budget: Budget) -> None:
        """Count into `reading` and `budget`."""
        self._below, self._reading, self._budget = below, reading, budget

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether the stream below is."""
        return self._below.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place."""
        return self._below.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._below.tell()

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits."""
        block = self._below.read(len(buffer))
        buffer[: len(block)] = block
        self._reading.num_bytes += len(block)
        self._budget.num_read += len(block)
        return len(block)

    def close(self) -> None:
        """Close the stream below too."""
        self._below.close()
        super().close()


class Expanded(io.RawIOBase):
    """What comes out of a compressed stream, within its budget."""

    def __init__(self, below: BinaryIO, budget: Budget) -> None:
        """Count into `budget`."""
        self._below, self._budget = below, budget

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits. Raises ArchiveLimit."""
        try:
            block = self._below.read(min(len(buffer), _BLOCK))
        except OSError as error:
            raise OSError(_LARGE_WINDOW if "too much memory" in str(error) else error) from error
        self._budget.expand(len(block))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the stream below too."""
        with suppress(OSError):
            self._below.close()
        super().close()


class _Transcoded(io.RawIOBase):
    """Text of another encoding as UTF-8."""

    def __init__(self, below: BinaryIO, encoding: str) -> None:
        """Decode strictly."""
        self._below, self._decoder = below, codecs.getincrementaldecoder(encoding)()
        self._rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits. Raises UnicodeDecodeError."""
        is_last = False
        while not self._rest and not is_last:
            block = self._below.read(_BLOCK)
            is_last = not block
            self._rest = self._decoder.decode(block, final=is_last).encode("utf-8")
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def compression_of(suffix: str) -> str | None:
    """Return the name of the compression that files with this suffix have."""
    return _COMPRESSION.get(suffix)


def expanded(below: BinaryIO, compression: str, budget: Budget) -> BinaryIO:
    """Return the uncompressed stream. Truncated and damaged ones raise OSError without errno."""
    import pyarrow as pa  # here, since it takes a second and most runs need none

    stream = pa.CompressedInputStream(pa.PythonFile(below, mode="r"), compression)
    return buffered(Expanded(cast("BinaryIO", stream), budget))


def buffered(raw: io.RawIOBase) -> BinaryIO:
    """Return a stream with `readline` and `peek`."""
    return cast("BinaryIO", io.BufferedReader(raw, _BLOCK))


def head(stream: BinaryIO) -> bytes:
    """Return the first bytes of a buffered stream without taking them out."""
    return cast("io.BufferedReader", stream).peek(_BLOCK)


def as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return a text stream as UTF-8 without a byte order mark, which has the last word."""
    start = head(stream)
    found = next((name for mark, name in MARKS if start.startswith(mark)), encoding)
    if codecs.lookup(found).name == "utf-8":
        return stream  # strict decoding is the reader's, record by record
    if found == "utf-8-sig":
        stream.read(len(codecs.BOM_UTF8))
        return stream
    return buffered(_Transcoded(stream, found))


def bounded_lines(stream: BinaryIO, limit: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each line and whether it is whole; of one above `limit` bytes only the beginning."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit:
            yield line, True
            continue
        yield line[:SAMPLE_CHARACTERS], False
        while line and not line.endswith(b"\n"):
            line = stream.readline(_BLOCK)


def json_values(stream: BinaryIO, limit: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the elements of a JSON array, or the objects that follow each other, as above.

    Only brackets, commas and quotes are looked at, so one bad value does not hide the next.
    """
    in_array = head(stream).lstrip().startswith(b"[")
    value, depth, in_string, skipped = _Value(limit), 0, False, 0
    while block := stream.read(_BLOCK):
        start, place = 0, skipped
        while found := (_INSIDE if in_string else _OUTSIDE).search(block, place):
            place, token = found.end(), found.group()
            if token == b"\\":
                place += 1  # whatever it escapes
            elif token == b'"':
                in_string = not in_string
            elif token in b"{[":
                depth += 1
                if in_array and depth == 1:
                    start = place
            elif token in b"}]" and depth > 0:
                depth -= 1
            if not in_string and token in b"}],":
                if not in_array and depth == 0 and token != b",":
                    yield from value.end(block[start:place])
                    start = place
                elif in_array and depth == (token == b","):
                    yield from value.end(block[start : place - 1])
                    start = place
        skipped = max(0, place - len(block))
        value.add(block[start:])
    yield from value.end(b"")


class _Value:
    """The bytes of one value, or the beginning of them where there are too many."""

    def __init__(self, limit: int) -> None:
        """Hold up to `limit` bytes."""
        self._limit, self._size, self._bytes = limit, 0, bytearray()

    def add(self, part: bytes) -> None:
        """Go on."""
        self._size += len(part)
        if self._size <= self._limit:
            self._bytes += part
        else:
            self._bytes = (self._bytes + part)[:SAMPLE_CHARACTERS]

    def end(self, part: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield the value, if there is one, and begin another."""
        self.add(part)
        if self._bytes.strip():
            yield bytes(self._bytes), self._size <= self._limit
        self._size, self._bytes = 0, bytearray()
