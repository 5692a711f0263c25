"""A text as the tokens that two texts are compared by: words, numbers, operators, punctuation.

Unlike the words of a sketch these keep what a sketch leaves out, so `x < 12` is not `x > 12`.
"""
# ruff: noqa: RUF001 - the signs that people write

import re
import unicodedata
from functools import cached_property
from itertools import pairwise

from components.data.duplicates.function_words import FUNCTION_WORDS, NEGATIONS

_ALONE = "\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff\U00020000-\U0003347f"  # no spaces part words
_CLOSING = frozenset("\"'`“”‘’«»„,;")  # says nothing in code, where people format as they like
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
_RELATIONS = frozenset("<>=≤≥≠≈±×÷+∈∉⊂∪∩∧∨¬→⇒$€£¥₹%")
_ARITHMETIC = frozenset("-*/^&|~")
_CODE = re.compile(
    r"\w\(|[^\W\d][.,;/]\w|[=\[\]{}<>|\\^~@*+$\t]|\w_|_\w|\"\s*:|[:;]\s*$", re.MULTILINE
)
_IN_CODE = 1 / 5  # of such signs to a token around a place, from which on it is code or a table
_SOME_SIGNS = 3  # fewer are in sentences too
_AROUND = 6  # tokens to each side


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
        folded = text.casefold() if text.isascii() else text.casefold().translate(_DASHES)
        self.folded: list[str] = _TOKEN.findall(folded)
        """In one case, with one kind of dash."""
        if len(self.folded) != len(self.raw):  # of a letter that is two in another case
            self.folded = [token.casefold().translate(_DASHES) for token in self.raw]

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.raw)

    @cached_property
    def distinct(self) -> frozenset[str]:
        """The different ones."""
        return frozenset(self.folded)

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
    def tells_names(self) -> bool:
        """Whether capitals say what is a name: not in titles and in what is all capitals."""
        words = [token for token in self.raw if token[0].isalpha()]
        return sum(word[0].isupper() for word in words) < 0.4 * len(words)

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset(token for token in self.raw if token[0].islower())

    def is_name(self, place: int) -> bool:
        """Whether the token is a name: a word of content that is written with a capital alone."""
        return self.has_capital(place) and self.folded[place] not in self._lower

    def has_capital(self, place: int) -> bool:
        """Whether the token is a word of content with a capital, in a text where that says much."""
        is_written_so = self.raw[place][0].isupper() and is_content(self.folded[place])
        return is_written_so and self.tells_names

    @cached_property
    def is_in_one_case(self) -> bool:
        """Whether no letter is a capital, or all are."""
        return self._text in (self._text.lower(), self._text.upper())

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


def is_code(before: str, after: str, num_tokens: int) -> bool:
    """Whether the text before a place and after it has the signs of code, formulas and tables."""
    signs = len(_CODE.findall(before)) + len(_CODE.findall(after))
    return signs >= max(_SOME_SIGNS, _IN_CODE * num_tokens)


def is_symbol(token: str) -> bool:
    """Whether a token is neither a word nor a number."""
    return not (token[0].isalnum() or token[0] == "_")


def is_number(token: str) -> bool:
    """Whether a token has a digit, or is a numeral of a script that writes them as letters."""
    if len(token) == 1:
        return unicodedata.numeric(token, None) is not None
    return any(map(str.isdigit, token))


def is_operator(token: str) -> bool:
    """Whether a token sets two things in relation wherever it stands."""
    return any(letter in _RELATIONS for letter in token)


def is_arithmetic(token: str) -> bool:
    """Whether a token is an operator between numbers, and may be punctuation between words."""
    return all(letter in _ARITHMETIC for letter in token)


def is_content(token: str) -> bool:
    """Whether a token is a word that says what a text is about."""
    return not is_symbol(token) and not is_number(token) and token not in FUNCTION_WORDS


def is_negation(token: str) -> bool:
    """Whether a word denies."""
    return token in NEGATIONS or token.endswith(("n't", "n’t"))


def matters_in_code(token: str) -> bool:
    """Whether a token does something in code: quotes and what ends or parts statements do not."""
    return token not in _CLOSING
