"""A stretch of text, and what stands around it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

SEPARATORS = r" .\-\u00a0\u2009\u202f\u2010-\u2015"
"""What people put between groups of digits: also the spaces and hyphens of typesetters."""

_DENSE = re.compile(r"[0-9](?:[^0-9\n]{0,4}[0-9]){5,}")
_BEFORE, _BEHIND = 16, 4  # letters of an id or of a bank that stand outside its digits
_NOT_DIGITS_OR_LETTERS = re.compile(r"[^0-9A-Za-z]+")


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int


@lru_cache(maxsize=1)  # every kind asks for those of the same text
def windows(text: str) -> tuple[Span, ...]:
    """Return the stretches that hold six digits or more, close together.

    All but addresses lie in them, and little else does.
    """
    found: list[Span] = []
    for run in _DENSE.finditer(text):
        start, end = max(0, run.start() - _BEFORE), min(run.end() + _BEHIND, len(text))
        if found and start <= found[-1].end:
            start = found.pop().start
        found.append(Span(start, end))
    return tuple(found)


def matches(shape: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield what has `shape` in the windows of `text`."""
    for window in windows(text):
        yield from shape.finditer(text, *window)


def compact(text: str) -> str:
    """Return the ASCII digits and letters of `text`, in upper case."""
    return _NOT_DIGITS_OR_LETTERS.sub("", text).upper()


def goes_on(text: str, start: int, end: int) -> bool:
    """Return whether the number at `start:end` is a part of something longer.

    Such are decimals, hashes, versions, file names, paths and longer numbers.
    """
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before and (_is_word(before[-1]) or before[-1] in "#%/\\+"):
        return True
    if len(before) == 2 and before[1] in ".-" and before[0].isdigit():
        return True  # a comma may be that of a table
    if after and _is_word(after[0]):
        return True
    return len(after) == 2 and after[0] in ".-" and after[1].isdigit()


def follows(text: str, start: int, words: re.Pattern[str], reach: int = 48) -> bool:
    """Return whether one of `words` stands in the `reach` characters before `start`."""
    return words.search(text, max(0, start - reach), start) is not None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
