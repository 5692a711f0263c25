"""A stretch of text, and what stands around it."""

import re
from typing import NamedTuple

SEPARATORS = r" .\-\u00a0\u2009\u202f\u2010-\u2015"
"""What people put between groups of digits: also the spaces and hyphens of typesetters."""

_NOT_DIGITS_OR_LETTERS = re.compile(r"[^0-9A-Za-z]+")


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int


def compact(text: str) -> str:
    """Return the ASCII digits and letters of `text`, in upper case."""
    return _NOT_DIGITS_OR_LETTERS.sub("", text).upper()


def goes_on(text: str, start: int, end: int) -> bool:
    """Return whether the number at `start:end` is a part of something longer.

    Such are decimals, hashes, versions, file names, paths and longer numbers.
    """
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before and (_is_word(before[-1]) or before[-1] in "#%/\\"):
        return True
    if len(before) == 2 and before[1] in ".-+" and before[0].isdigit():
        return True  # a comma may be that of a table
    if after and _is_word(after[0]):
        return True
    return len(after) == 2 and after[0] in ".-" and after[1].isdigit()


def follows(text: str, start: int, words: re.Pattern[str], reach: int = 48) -> bool:
    """Return whether one of `words` stands in the `reach` characters before `start`."""
    return words.search(text, max(0, start - reach), start) is not None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
