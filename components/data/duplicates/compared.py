"""A text as it is compared: by its words first, and by tokens where these differ.

Most of two texts that share most of their words is the same, and is not cut any further.
"""

import re
import unicodedata
from functools import cached_property

from components.data.duplicates.tokens import Tokens, fold, is_content, is_symbol, may_be_code

_PIECE = re.compile(r"\S+\s*")
_AROUND = 6  # words to each side, which are as many tokens or more
_PER_WORD = 12  # characters, and more of scripts that part words by nothing
_TITLE = 0.4  # share of words with a capital, from which on capitals say nothing


class Place:
    """A run of words of a text, as tokens."""

    def __init__(self, text: "Compared", start: int, end: int) -> None:
        """Cut the words from `start` to `end` into tokens."""
        self.text, self.start, self.end = text, start, end
        tokens = Tokens(" ".join(text.raw[start:end]))
        self.raw, self.folded = tokens.raw, tokens.folded

    def is_code(self, start: int, end: int) -> bool:
        """Whether what is around the tokens `start` to `end` of it is code, or a table."""
        first = max(0, self.start - _AROUND)
        around = self.text.around(first, self.end + _AROUND)
        if not may_be_code(around):
            return False
        before = len(Tokens(self.text.around(first, self.start)))
        return Tokens(around).is_code(before + start, before + end)

    def beside(self, start: int, end: int) -> list[str]:
        """Return the token before the tokens `start` to `end` and the one after them."""
        left = self.folded[:start] or Tokens(" ".join(self.text.words[: self.start][-1:])).folded
        right = self.folded[end:] or Tokens(" ".join(self.text.words[self.end :][:1])).folded
        return left[-1:] + right[:1]

    @property
    def tells_names(self) -> bool:
        """Whether a capital here says that a word is a name: in a title it does not."""
        if self.text.tells_names:
            return True
        beside = [*self.text.raw[: self.start][-1:], *self.text.raw[self.end :][:1]]
        return len(beside) == 2 and all(word[0].islower() for word in beside)

    def is_on_its_own_line(self) -> bool:
        """Whether nothing else stands on the lines of these words."""
        before = self.text.part(self.start - 1, self.start) if self.start else "\n"
        last = self.end == len(self.text)
        return "\n" in before and (last or "\n" in self.text.part(self.end - 1, self.end))


class Compared:
    """A text that others are compared with."""

    def __init__(self, text: str) -> None:
        """Cut the text at white space."""
        self.written = text
        """As it is."""
        self.folded = fold(text)
        """In one case."""
        self.words = self.folded.split()
        """What stands between white space, in one case."""

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.words)

    @cached_property
    def raw(self) -> list[str]:
        """The words as they are written."""
        return self.written.split()

    @cached_property
    def tokens(self) -> Tokens:
        """All tokens: only few texts are compared by them."""
        return Tokens(self.written)

    @cached_property
    def num_words(self) -> int:
        """Words and numbers: those between white space, unless a script does without that."""
        if len(self.written) <= _PER_WORD * len(self):
            return len(self)
        return sum(not is_symbol(token) for token in self.tokens.raw)

    @cached_property
    def tells_names(self) -> bool:
        """Whether capitals say what is a name: not in titles and in what is all capitals."""
        words = [word for word in self.raw if word[0].isalpha()]
        return sum(word[0].isupper() for word in words) < _TITLE * len(words)

    @cached_property
    def is_in_one_case(self) -> bool:
        """Whether no letter is a capital, or all are."""
        return self.written in (self.written.lower(), self.written.upper())

    @cached_property
    def _pieces(self) -> list[str]:
        return _PIECE.findall(self.written)

    @cached_property
    def _has_lines_of_code(self) -> bool:
        return any(sign in self.written for sign in ("\t", ":\n", ";\n"))

    def around(self, start: int, end: int) -> str:
        """Return the words from `start` to `end` as they are written, where it may be code."""
        if self._has_lines_of_code:
            return self.part(start, end)
        return " ".join(self.raw[start:end])

    def part(self, start: int, end: int) -> str:
        """Return the words from `start` to `end` with the white space after each."""
        return "".join(self._pieces[start:end])

    def has(self, token: str) -> bool:
        """Whether a folded word stands somewhere in the text."""
        return _stands_in(token, self.folded)

    def is_name(self, token: str) -> bool:
        """Whether a token is a word of content that is written with a capital alone."""
        return has_capital(token) and not _stands_in(fold(token), self.written)


def has_capital(token: str) -> bool:
    """Whether a token is a word of content with a capital."""
    return token[0].isupper() and is_content(fold(token))


def _stands_in(token: str, text: str) -> bool:
    at = text.find(token)
    while at >= 0:
        end = at + len(token)
        if not (_joins(text[at - 1 : at], token[0]) or _joins(text[end : end + 1], token[-1])):
            return True
        at = text.find(token, at + 1)
    return False


def _joins(letter: str, own: str) -> bool:
    """Whether a letter beside a word makes another word of it: none where no spaces part words."""
    if not letter or letter.isspace() or Tokens(own + letter).raw != [own + letter]:
        return False
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"
