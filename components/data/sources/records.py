"""A stream cut into records: lines, or JSON values. None is held that is above the limit."""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from components.data.sources.source import SAMPLE_CHARACTERS
from components.data.sources.streams import available, head

_BLOCK = 1 << 16
_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]|\n\s*(?=\{)')  # no string of JSON has a line end


class Record(NamedTuple):
    """What may be a record, or the beginning of one that is too long."""

    content: bytes
    """Its bytes."""
    is_whole: bool
    """Whether that is all of it."""
    size: int
    """How many bytes it has."""


def bounded_lines(stream: BinaryIO, limit: int) -> Iterator[Record]:
    """Yield each line; of one above `limit` bytes only the beginning."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit:
            yield Record(line, True, len(line))
            continue
        start, size = line[:SAMPLE_CHARACTERS], len(line)
        while line and not line.endswith(b"\n"):
            line = stream.readline(_BLOCK)
            size += len(line)
        yield Record(start, False, size)


def json_values(stream: BinaryIO, limit: int) -> Iterator[Record]:
    """Yield the elements of a JSON array, or the objects that follow each other, as above.

    Only brackets, commas and quotes are looked at, so one bad value does not hide the next. A quote
    that nobody closes ends where a line begins another object.
    """
    in_array = head(stream).lstrip().startswith(b"[")
    value, depth, in_string, skipped = _Value(limit), 0, False, 0
    while block := available(stream):
        start, place = 0, skipped
        while found := (_INSIDE if in_string else _OUTSIDE).search(block, place):
            place, token = found.end(), found.group()
            if token.startswith(b"\n"):
                yield from value.end(block[start : found.start()])
                start, depth, in_string = place, int(in_array), False
            elif token == b"\\":
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

    def end(self, part: bytes) -> Iterator[Record]:
        """Yield the value, if there is one, and begin another."""
        self.add(part)
        if self._bytes.strip():
            yield Record(bytes(self._bytes), self._size <= self._limit, self._size)
        self._size, self._bytes = 0, bytearray()
