"""The letters of a text and nothing else: what is left whoever wraps, cases or punctuates it.

Compatibility decomposition (NFKD), without accents, case, spaces and punctuation. OpenAI 2023
(GPT-4), appendix C, compares texts so.
"""

# L = letters of a text

import re
import unicodedata
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Letters = NDArray[np.integer[Any]]
"""Code points of a text's letters and digits, shape (L,)."""

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"  # scripts
_WORD = re.compile(rf"[{_SPACELESS}]{{1,2}}|[^\W_{_SPACELESS}]+(?:['\u2019][^\W_{_SPACELESS}]+)*")
_CHUNK = 1 << 16  # characters that are worked on at a time
_TABLE_SIZE = 0x20000  # code points with a row in the table of letters: all but rare ideographs
_SEVERAL = 0xFFFFFFFF  # stands in that table for more than one letter, as of the ligature "fi"


def letters(text: str) -> Letters:
    """Return the letters and digits of `text` in one form: of each character the same anywhere."""
    parts = [_letters(text[start : start + _CHUNK]) for start in range(0, len(text), _CHUNK)]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])


def _letters(text: str) -> Letters:
    if text.isascii():
        return np.frombuffer(text.encode().translate(_ASCII_LOWER, _ASCII_OTHERS), np.uint8)
    codes = _codes(text)
    if codes.max() < _TABLE_SIZE:
        found = _letter_table()[codes]
        found = found[found != 0]
        if found.max(initial=0) != _SEVERAL:
            return found
    return _codes("".join(filter(str.isalnum, _folded(text))))


def _folded(text: str) -> str:
    # in capitals first: some have one small letter only there, such as the dotless i
    folded = unicodedata.normalize("NFKD", text).upper().casefold()
    return unicodedata.normalize("NFKD", folded)


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


_ASCII_OTHERS = bytes(code for code in range(128) if not chr(code).isalnum())
_ASCII_LOWER = bytes(range(256)).lower()


@cache
def _letter_table() -> NDArray[np.uint32]:
    """Return for each code point its letter, 0 if it has none or `_SEVERAL`."""
    table = np.zeros(_TABLE_SIZE, np.uint32)
    separator = chr(0x10FFFF)
    folded = _folded(separator.join(map(chr, range(_TABLE_SIZE))))
    for code, found in enumerate(folded.split(separator)):
        kept = [ord(character) for character in found if character.isalnum()]
        if kept:
            table[code] = kept[0] if len(kept) == 1 else _SEVERAL
    return table


def places(text: str, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where in `text` the characters of the letters with these numbers stand, same shape."""
    found, before = np.empty(len(wanted), np.int64), 0
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        after = before + len(letters(chunk))
        is_here = (before <= wanted) & (wanted < after)
        if is_here.any():
            of_letters = np.repeat(np.arange(len(chunk)), _counts(chunk))
            found[is_here] = of_letters[wanted[is_here] - before] + start
        before = after
    return found


def word_starts(text: str) -> NDArray[np.int64]:
    """Return the letter at which each word begins; two ideographs or Thai letters are a word."""
    counts = _counts(text)
    starts = [word.start() for word in _WORD.finditer(text)]
    return (np.cumsum(counts) - counts)[starts]


def _counts(text: str) -> NDArray[np.int64]:
    return np.fromiter(map(_count, text), np.int64, len(text))


@cache
def _count(character: str) -> int:
    return len(letters(character))
