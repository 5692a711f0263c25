"""Compressed files as streams: their members one after the other, and what stands after the last.

Bytes that are no member are never an error that hides the members before them: they are counted in
a `Tail`, and whoever reads the stream says what was lost.
"""

import bz2
import io
import lzma
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from components.data.sources.source import Budget
from components.data.sources.streams import buffered

SUFFIXES = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".zst": "zstd",
    ".bz2": "bz2",
    ".tbz2": "bz2",
    ".xz": "xz",
    ".txz": "xz",
}
_BLOCK = 1 << 16
_ZSTD_BLOCK = 1 << 10  # comes out at most 32,768 times as large: 32 MB
_USUAL_WINDOW = 128 << 20  # what zstd takes without --long
_LARGEST_WINDOW = 1 << 31
_SECTOR, _PADDING = 512, 20 * 512  # a tape's record, which tar and dd fill up with zeros
MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "bz2": (b"BZh",),
    "xz": (b"\xfd7zXZ\x00",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))),
}


@dataclass
class Tail:
    """What stands after the last member of a compressed file."""

    num_zeros: int = 0
    """Zeros that no member comes after, or that stand between two."""
    num_other: int = 0
    """Bytes from the first that is neither a zero nor of a member, to the end of the file."""
    num_members: int = 0
    """Compressed bytes of the members."""

    @property
    def is_padding(self) -> bool:
        """Whether it is what fills up the last block of a tape or disk."""
        size = self.num_members + self.num_zeros
        is_full = size % _SECTOR == 0 and self.num_zeros < _PADDING
        return not self.num_other and is_full


class BrokenOff(OSError):
    """A compressed stream that is damaged: what it was read as far as."""

    def __init__(self, problem: str, num_read: int) -> None:
        """Say what is wrong after so many bytes of the compressed file."""
        super().__init__(problem)
        self.num_read = num_read


class _Member(Protocol):
    """The decoder of one member."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class Expanded(io.RawIOBase):
    """What comes out of a stream that is uncompressed elsewhere, within its budget."""

    def __init__(self, below: BinaryIO, budget: Budget) -> None:
        """Count into `budget`."""
        self._below, self._budget = below, budget

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits. Raises ArchiveLimit."""
        block = self._below.read(min(len(buffer), _BLOCK))
        self._budget.expand(len(block))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the stream below too."""
        with suppress(OSError):
            self._below.close()
        super().close()


class _Members(io.RawIOBase):
    """What comes out of the members of a compressed stream."""

    def __init__(self, below: BinaryIO, compression: str, tail: Tail) -> None:
        """Note in `tail` what is no member."""
        self._below, self._compression, self._tail = below, compression, tail
        self._decoder: _Member | None = None
        self._waiting = b""
        self._is_over = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        """Read up to what fits. Truncated and damaged members raise OSError without errno."""
        while not self._is_over:
            if self._decoder is None and not self._begin():
                break
            if content := self._more(len(buffer)):
                buffer[: len(content)] = content
                return len(content)
        return 0

    def close(self) -> None:
        """Close the stream below too."""
        self._below.close()
        super().close()

    def _begin(self) -> bool:
        """Go to the next member, past zeros; return whether there is one."""
        while not self._waiting.strip(b"\0"):
            self._tail.num_zeros += len(self._waiting)
            self._waiting = self._below.read(_BLOCK)
            if not self._waiting:
                return False
        start = self._waiting.lstrip(b"\0")
        self._tail.num_zeros += len(self._waiting) - len(start)
        self._waiting = start + (self._below.read(_BLOCK) if len(start) < _SECTOR else b"")
        if not self._waiting.startswith(MAGIC[self._compression]):
            if not self._tail.num_members:
                raise OSError(f"it does not begin like {self._compression}: rename it, or mend it")
            self._is_over = True
            self._tail.num_other = len(self._waiting)
            while block := self._below.read(_BLOCK):
                self._tail.num_other += len(block)
            return False
        self._decoder = _decoder(self._compression, self._waiting)
        return True

    def _more(self, limit: int) -> bytes:
        """Return what comes next out of the member, which may be nothing yet."""
        decoder: Any = self._decoder
        needs = getattr(decoder, "needs_input", True)
        if not self._waiting and needs:
            self._waiting = self._below.read(_BLOCK)
            if not self._waiting:
                raise OSError("Truncated: the file ends inside a compressed stream")
        given = self._waiting
        try:
            content, self._waiting = _step(decoder, given, limit)
        except (zlib.error, lzma.LZMAError, *_zstd_errors()) as error:
            done = self._tail.num_members + self._tail.num_zeros
            raise BrokenOff(f"{self._compression}: {error}", done) from error
        if decoder.eof:
            self._waiting, self._decoder = decoder.unused_data + self._waiting, None
        self._tail.num_members += len(given) - len(self._waiting)
        return content


class _Zstd:
    """One frame of Zstandard, fed by small blocks so that nothing large comes out at once."""

    def __init__(self, start: bytes) -> None:
        """Raise OSError for a window that takes more memory than there is."""
        import zstandard

        try:
            window = zstandard.get_frame_parameters(start[: 1 << 10]).window_size
        except zstandard.ZstdError as error:
            raise OSError(
                f"zstd: {error}: if made with zstd --long, unpack it first with "
                "`zstd -d --long=31 FILE`"
            ) from error
        _check_window(window)
        limit = max(_USUAL_WINDOW, min(window, _LARGEST_WINDOW))
        self._decoder = zstandard.ZstdDecompressor(max_window_size=limit).decompressobj()
        self._rest = b""

    @property
    def eof(self) -> bool:
        """Whether the frame is at its end, and all of it was given out."""
        return self._decoder.eof and not self._rest

    @property
    def unused_data(self) -> bytes:
        """What stands after it."""
        return self._decoder.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether there is nothing to give out."""
        return not self._rest

    def step(self, given: bytes, limit: int) -> tuple[bytes, bytes]:
        """Return what comes out, and what was not taken in."""
        if not self._rest:
            self._rest = self._decoder.decompress(given[:_ZSTD_BLOCK])
            given = given[_ZSTD_BLOCK:]
        content, self._rest = self._rest[:limit], self._rest[limit:]
        return content, given


def expanded(below: BinaryIO, compression: str, budget: Budget, tail: Tail) -> BinaryIO:
    """Return the uncompressed stream; what stands after it is noted in `tail`.

    Truncated and damaged ones raise OSError without errno, when what is before that was read.
    """
    tail.num_zeros = tail.num_other = tail.num_members = 0
    members = _Members(below, compression, tail)
    return buffered(Expanded(cast("BinaryIO", members), budget))


def _decoder(compression: str, start: bytes) -> Any:
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if compression == "xz":
        return lzma.LZMADecompressor(memlimit=_LARGEST_WINDOW)
    return _Zstd(start)


def _step(decoder: Any, given: bytes, limit: int) -> tuple[bytes, bytes]:
    """Return what comes out, at most `limit` bytes, and what was not taken in."""
    if isinstance(decoder, _Zstd):
        return decoder.step(given, limit)
    content = decoder.decompress(given, limit)
    return content, getattr(decoder, "unconsumed_tail", b"")  # the others keep it


def _check_window(num_bytes: int) -> None:
    if num_bytes <= _USUAL_WINDOW:
        return
    import psutil

    free = psutil.virtual_memory().available
    if num_bytes > min(free // 2, _LARGEST_WINDOW):
        raise OSError(
            f"made with zstd --long: it takes {num_bytes / 1e9:.1f} GB of memory to read, and "
            f"{free / 1e9:.1f} GB are free: unpack it first, on a larger machine, with "
            "`zstd -d --long=31 FILE`"
        )


def _zstd_errors() -> tuple[type[Exception], ...]:
    import zstandard

    return (zstandard.ZstdError,)
