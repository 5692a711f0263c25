"""What it says of two texts that they differ in a place."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.data.duplicates.alignment import Difference, common, differences
from components.data.duplicates.compared import Place, has_capital
from components.data.duplicates.tokens import (
    is_arithmetic,
    is_content,
    is_negation,
    is_number,
    is_operator,
    is_symbol,
    matters_in_code,
)

_WEIGHT = 4  # of a number, an operator, a name or a negation, where a word of content has 1
_NOISE = 2  # of a difference that says nothing: many of them make a rough copy
_OTHER = 3  # of a word of content for another one, if each text has one of them alone
_SHARE = 0.015  # of the words: so much other content makes another text
_INSERTED = 5  # words of content inside a text, of which more are a paragraph that was put in
_PHRASE = 3  # words of content
_IN_CODE = 8  # tokens that are there or not in code, of which more are a block
_PUT_IN = 0.5  # of a number or negation that was put in or left out
_LEFT_OUT = 0.2  # of a difference that says nothing, words that were put in or left out
_ROUGH = 3  # places where plain words were left out, to one of a number: a copy in a hurry
_SPARSE = 0.06  # share of the words that such a copy lacks at most
_IN_PLACE = 8  # tokens, of which more are a paragraph with a negation, not a sentence denied
_TYPED_AS_ONE = 6  # letters, from which on a name with one other letter is misspelled
_SMALL = 12  # tokens that are one difference, however they are aligned
_QUOTES = frozenset("\"'`“”\u2018\u2019«»„")
_BRACKETS = frozenset("[(")

Seen = Counter[tuple[tuple[str, ...], tuple[str, ...]]]
"""How often some words of content stand for others."""


class Evidence(NamedTuple):
    """What the differences between two texts are."""

    strong: float = 0
    """Numbers, operators, names, negations and quoted words that stand for another one."""
    content: float = 0
    """Words of content that only one of the texts has, half of both sides."""
    other: float = 0
    """Those of them that stand for another one."""
    noise: float = 0
    """Differences that say nothing."""
    lost: int = 0
    """Places where a number or a negation was left out."""
    sparse: int = 0
    """Places inside where one or a few other words were left out."""
    sparse_content: float = 0
    """Words of content among these, half of them."""
    sparse_words: int = 0
    """Words that were left out so."""

    def tells_apart(self, num_words: int) -> bool:
        """Whether they make two texts of it; `num_words` are those of the shorter one."""
        lost, content = self.lost, self.content + self.sparse_content
        if self.sparse >= _ROUGH * max(1, lost) and self.sparse_words <= _SPARSE * num_words:
            lost, content = 0, self.content
        strong = self.strong + _PUT_IN * lost
        weight = _WEIGHT * strong + content + (_OTHER - 1) * self.other
        if weight <= _NOISE * (self.noise + _LEFT_OUT * self.sparse):
            return False
        return strong >= _PUT_IN or content >= _SHARE * num_words


class _Sides(NamedTuple):
    """The tokens of two places where these differ."""

    one: Place
    other: Place
    gap: Difference

    @property
    def tokens(self) -> tuple[list[str], list[str]]:
        """What the one has, folded, and what the other."""
        gap = self.gap
        return self.one.folded[gap.start : gap.end], self.other.folded[slice(*gap[2:])]

    @property
    def raw(self) -> tuple[list[str], list[str]]:
        """The same as it is written."""
        gap = self.gap
        return self.one.raw[gap.start : gap.end], self.other.raw[slice(*gap[2:])]

    @property
    def is_at_an_end(self) -> bool:
        """Whether one of the texts begins here, or ends on another line than the other."""
        one, other, gap = self.one, self.other, self.gap
        if (one.start == gap.start == 0) or (other.start == gap.other_start == 0):
            return True
        ends = [
            place.end == len(place.text) and end == len(place.folded)
            for place, end in ((one, gap.end), (other, gap.other_end))
        ]
        if not any(ends):
            return False
        longer = other if ends[0] and len(other.folded) > len(one.folded) else one
        return "\n" in longer.text.part(longer.start - 1, longer.end).rstrip()

    @property
    def is_quoted(self) -> bool:
        """Whether both tokens stand in quotes, with no others in these."""
        gap = self.gap
        return all(
            start > 0
            and start + 1 == end < len(place.folded)
            and place.folded[start - 1] in _QUOTES
            and (place.folded[end] in _QUOTES or place.folded[end : end + 2][-1] in _QUOTES)
            for place, start, end in ((self.one, *gap[:2]), (self.other, *gap[2:]))
        )


def evidence(one: Place, other: Place, seen: Seen) -> Iterator[Evidence]:
    """Yield what each difference is between two places; `seen` counts what stands for what."""
    for gap in _gaps(one.folded, other.folded):
        yield _evidence(_Sides(one, other, gap), seen)


def added(parts: Sequence[Evidence]) -> Evidence:
    """Return the evidence of all."""
    return Evidence(*map(sum, zip(*parts, strict=True))) if parts else Evidence()


def _gaps(one: Sequence[str], other: Sequence[str]) -> Iterator[Difference]:
    if len(one) + len(other) > 2 * _SMALL:
        yield from differences(one, other)
        return
    head = common(one, other)
    tail = common(one[head:][::-1], other[head:][::-1])
    if head + tail < max(len(one), len(other)):
        yield Difference(head, len(one) - tail, head, len(other) - tail)


def _evidence(sides: _Sides, seen: Seen) -> Evidence:
    mine, theirs = sides.tokens
    words, others = ([token for token in side if not is_symbol(token)] for side in (mine, theirs))
    in_code = _in_code(sides, mine, theirs)
    if words != others and (missing := _missing(words, others)):
        return _left_out(sides, missing, in_code)
    strong = in_code or _typed(sides, mine, theirs)
    if words == others:
        return Evidence(strong)
    new, their_new = (
        [token for token in side if is_content(token) and not place.text.has(token)]
        for side, place in ((words, sides.other), (others, sides.one))
    )
    if new and their_new and not _is_misspelled(new, their_new):
        seen[tuple(new), tuple(their_new)] += 1
        content = (len(new) + len(their_new)) / 2
        return Evidence(strong + _is_phrase(words, others), content, content)
    if _is_phrase(words, others):
        return Evidence(strong + 1)
    if len(words) != len(others) and (differing := len(_contents(words) ^ _contents(others)) / 2):
        return Evidence(strong, differing)
    return Evidence(strong, noise=float(not strong))


def _missing(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the words that one side has beside all of the other's, in their order; or none."""
    fewer, more = sorted((words, others), key=len)
    missing: list[str] = []
    place = 0
    for word in more:
        if place < len(fewer) and word == fewer[place]:
            place += 1
        else:
            missing.append(word)
    return missing if place == len(fewer) else []


def _left_out(sides: _Sides, words: Sequence[str], strong: float) -> Evidence:
    """Return what it is that only one of the texts has these words."""
    if sides.is_at_an_end:
        return Evidence(strong)
    differing = len(_contents(words)) / 2
    if differing > _INSERTED / 2:
        return Evidence(strong)
    if not strong and _says_much(sides, words):
        return Evidence(strong, lost=1, sparse_content=differing)
    return Evidence(strong, sparse=1, sparse_content=differing, sparse_words=len(words))


def _says_much(sides: _Sides, words: Sequence[str]) -> bool:
    """Whether the words deny, or are a number that is no mark of a page or a note."""
    if len(words) > _IN_PLACE:
        return False
    if any(map(is_negation, words)):
        return True
    place = max(sides.one, sides.other, key=lambda place: len(place.folded))
    is_mark = place.is_on_its_own_line() or not _BRACKETS.isdisjoint(place.folded)
    return any(map(is_number, words)) and not is_mark


def _is_phrase(words: Sequence[str], others: Sequence[str]) -> int:
    """Return 1 if one phrase stands for another, not word for word."""
    if len(words) == len(others):
        return 0
    some, rest = _contents(words), _contents(others)
    return int(min(len(some - rest), len(rest - some)) >= _PHRASE)


def _contents(words: Sequence[str]) -> set[str]:
    return {word for word in words if is_content(word)}


def _typed(sides: _Sides, mine: Sequence[str], theirs: Sequence[str]) -> float:
    """Count the kinds of number, operator, name and negation that stand for another one."""
    if not mine or not theirs:
        return 0
    gap = sides.gap
    numbers, operators, negations = (
        [[token for token in side if is_kind(token)] for side in (mine, theirs)]
        for is_kind in (is_number, is_operator, is_negation)
    )
    arithmetic = [[token for token in side if is_arithmetic(token)] for side in (mine, theirs)]
    if any(arithmetic) and any(
        is_number(token) or len(token) == 1
        for token in sides.one.beside(gap.start, gap.end)
        if not is_symbol(token)
    ):
        operators = [a + b for a, b in zip(operators, arithmetic, strict=True)]
    found: float = sum(a != b for a, b in (numbers, operators) if a and b)
    if max(len(mine), len(theirs)) <= _IN_PLACE:
        one_is_empty = all(map(is_symbol, mine)) or all(map(is_symbol, theirs))
        found += (len(negations[0]) != len(negations[1])) and not one_is_empty
    return found + (_is_other_name(sides) or sides.is_quoted)


def _is_other_name(sides: _Sides) -> bool:
    places = sides.one, sides.other
    capitals = [
        [token.casefold() for token in side if has_capital(token)] if place.tells_names else []
        for place, side in zip(places, sides.raw, strict=True)
    ]
    if not all(capitals) or set(capitals[0]) == set(capitals[1]) or _is_misspelled(*capitals):
        return False
    return any(
        place.text.is_name(token)
        for place, side in zip(places, sides.raw, strict=True)
        for token in side
    )


def _in_code(sides: _Sides, mine: Sequence[str], theirs: Sequence[str]) -> int:
    """Return 1 if the difference stands in code, where any token does something."""
    mine, theirs = ([token for token in side if matters_in_code(token)] for side in (mine, theirs))
    if mine == theirs or (not (mine and theirs) and len(mine) + len(theirs) > _IN_CODE):
        return 0
    gap = sides.gap
    return int(sides.one.is_code(*gap[:2]) and sides.other.is_code(*gap[2:]))


def _is_misspelled(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each word is one of the others with a letter that was missed, put in or swapped."""
    return len(some) == len(others) and all(map(_one_letter, some, others))


def _one_letter(word: str, other: str) -> bool:
    if word == other:
        return True
    if word[:1] != other[:1] or min(len(word), len(other)) < _TYPED_AS_ONE - 1:
        return False
    head = common(word, other)
    if head == min(len(word), len(other)):
        return abs(len(word) - len(other)) == 1
    rest, others = word[head:], other[head:]
    swapped = rest[:2] == others[:2][::-1] and rest[2:] == others[2:]
    return swapped or rest[1:] == others[1:] or rest[1:] == others or rest == others[1:]
