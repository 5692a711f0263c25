"""A text as the tokens that two texts are compared by: words, numbers, operators, punctuation.

Unlike the words of a sketch these keep what a sketch leaves out, so `x < 12` is not `x > 12`.
"""
# ruff: noqa: RUF001 - the signs that people write

import re
import unicodedata
from functools import cached_property, lru_cache
from itertools import pairwise

from components.data.duplicates.function_words import FUNCTION_WORDS, NEGATIONS

_ALONE = "\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff\U00020000-\U0003347f"  # no spaces part words
_CLOSING = frozenset("\"'`“”‘’«»„,;")  # says nothing in code, where people format as they like
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_RELATIONS = frozenset("<>=≤≥≠≈±×÷+∈∉⊂∪∩∧∨¬→⇒$€£¥₹%")
_ARITHMETIC = frozenset("-*/^&|~")
_CODE = re.compile(
    r"\w\(|[^\W\d][.,;/]\w|[=\[\]{}<>|\\^~@*+$\t]|\w_|_\w|\"\s*:|[:;]\s*$", re.MULTILINE
)
_IN_CODE = 1 / 5  # of such signs to a token around a place, from which on it is code or a table
_SOME_SIGNS = 3  # fewer are in sentences too
_AROUND = 6  # tokens to each side
_REMEMBERED = 1 << 12  # tokens whose kind is known


def _marks() -> str:
    """Return the combining marks as ranges for an expression, whose word characters have none."""
    codes = [code for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M"]
    starts = [b for a, b in pairwise([-1, *codes]) if b != a + 1]
    ends = [a for a, b in pairwise([*codes, -1]) if b != a + 1]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))


_LETTER, _MARK = rf"[^\W{_ALONE}]", rf"[{_marks()}]"
_TOKEN = re.compile(
    rf"\d+(?:[.,:]\d+)*(?!{_LETTER})|{_LETTER}+(?:(?:{_MARK}+|['’](?=\w)){_LETTER}*)*"
    r"|[-+*/%=<>!&|^~\u2010-\u2015\u2212]+|#+|\.+|\S"
)


class Tokens:
    """The tokens of one text."""

    def __init__(self, text: str) -> None:
        """Cut the text."""
        self._text = text
        self.raw: list[str] = _TOKEN.findall(text)
        """As they are written."""
        self.folded: list[str] = fold(" ".join(self.raw)).split(" ") if self.raw else []
        """In one case, with one kind of dash."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.raw)

    @cached_property
    def num_words(self) -> int:
        """Tokens that are words or numbers."""
        return sum(not is_symbol(token) for token in self.raw)

    @cached_property
    def ngrams(self) -> list[tuple[str, ...]]:
        """Runs of three tokens, with an end before and after the text."""
        padded = ["", *self.folded, ""]
        return list(zip(padded, padded[1:], padded[2:], strict=False))

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Where each begins and ends in the text."""
        return [found.span() for found in _TOKEN.finditer(self._text)]

    def is_code(self, start: int, end: int) -> bool:
        """Whether what is around the tokens `start` to `end` is code, a formula or a table."""
        first, last = max(0, start - _AROUND), min(end + _AROUND, len(self))
        if first == last:
            return False
        before = self._text[self.spans[first][0] : self.spans[start][0] if start < last else None]
        after = self._text[self.spans[end][0] : self.spans[last - 1][1]] if end < last else ""
        return is_code(before, after, start - first + last - end)


def fold(text: str) -> str:
    """Return a text in one case, with one kind of dash."""
    folded = text.casefold()
    if not folded.isascii():
        for dash in _DASHES:
            folded = folded.replace(dash, "-")
    return folded


def is_code(before: str, after: str, num_tokens: int) -> bool:
    """Whether the text before a place and after it has the signs of code, formulas and tables."""
    signs = len(_CODE.findall(before)) + len(_CODE.findall(after))
    return signs >= max(_SOME_SIGNS, _IN_CODE * num_tokens)


def may_be_code(text: str) -> bool:
    """Whether a text has enough signs of code that a place in it may be code."""
    return len(_CODE.findall(text)) >= _SOME_SIGNS


@lru_cache(_REMEMBERED)
def is_symbol(token: str) -> bool:
    """Whether a token is neither a word nor a number."""
    return not (token[0].isalnum() or token[0] == "_")


@lru_cache(_REMEMBERED)
def is_number(token: str) -> bool:
    """Whether a token has a digit, or is a numeral of a script that writes them as letters."""
    if len(token) == 1:
        return unicodedata.numeric(token, None) is not None
    return any(map(str.isdigit, token))


@lru_cache(_REMEMBERED)
def is_operator(token: str) -> bool:
    """Whether a token sets two things in relation wherever it stands."""
    return any(letter in _RELATIONS for letter in token)


@lru_cache(_REMEMBERED)
def is_arithmetic(token: str) -> bool:
    """Whether a token is an operator between numbers, and may be punctuation between words."""
    return all(letter in _ARITHMETIC for letter in token)


@lru_cache(_REMEMBERED)
def is_content(token: str) -> bool:
    """Whether a token is a word that says what a text is about."""
    return not is_symbol(token) and not is_number(token) and token not in FUNCTION_WORDS


@lru_cache(_REMEMBERED)
def is_negation(token: str) -> bool:
    """Whether a word denies."""
    return token in NEGATIONS or token.endswith(("n't", "n’t"))


def matters_in_code(token: str) -> bool:
    """Whether a token does something in code: quotes and what ends or parts statements do not."""
    return token not in _CLOSING
