"""Streams of bytes that count what goes through them, and texts of any encoding as UTF-8."""

import codecs
import io
from typing import BinaryIO, cast

from components.data.sources.source import Budget, Reading

_BLOCK = 1 << 16
MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


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


class Whole(io.RawIOBase):
    """A text without the NULs at its end, as a crash leaves them; it counts them."""

    def __init__(self, below: BinaryIO) -> None:
        """Read nothing yet."""
        self._below = below
        self.num_nuls = 0
        """NULs after the last other byte that was read."""
        self._gap, self._rest = 0, b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits."""
        while not self._rest:
            block = available(self._below)
            if not block:
                return 0
            self._rest = block.rstrip(b"\0")
            nuls = len(block) - len(self._rest)
            self._gap, self.num_nuls = (
                (self.num_nuls, nuls) if self._rest else (0, self.num_nuls + nuls)
            )
        if self._gap:  # they stand between two
            size = min(self._gap, len(buffer))
            buffer[:size] = bytes(size)
            self._gap -= size
            return size
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


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
            block = available(self._below)
            is_last = not block
            self._rest = self._decoder.decode(block, final=is_last).encode("utf-8")
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def buffered(raw: io.RawIOBase) -> BinaryIO:
    """Return a stream with `readline` and `peek`."""
    return cast("BinaryIO", io.BufferedReader(raw, _BLOCK))


def head(stream: BinaryIO) -> bytes:
    """Return the first bytes of a buffered stream without taking them out."""
    return cast("io.BufferedReader", stream).peek(_BLOCK)


def available(stream: BinaryIO) -> bytes:
    """Return the next bytes of a buffered stream: what is there is given out before an error is."""
    return cast("io.BufferedReader", stream).read1(_BLOCK)


def as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return a text stream as UTF-8 without NULs at its end and without a byte order mark.

    The mark has the last word on the encoding.
    """
    start = head(stream)
    found = next((name for mark, name in MARKS if start.startswith(mark)), encoding)
    if found == "utf-8-sig":
        stream.read(len(codecs.BOM_UTF8))
    elif codecs.lookup(found).name != "utf-8":  # else strict decoding is the reader's
        stream = buffered(_Transcoded(stream, found))
    return buffered(Whole(stream))


def nuls_at_end(stream: BinaryIO) -> int:
    """Return the number of NULs at the end of what `as_utf8` returned and was read to its end."""
    return cast("Whole", cast("io.BufferedReader", stream).raw).num_nuls
