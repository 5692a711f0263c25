"""Whether two texts that share most of their words say the same, or are two of one template.

Light edits, other white space and what was added around a text leave it what it was. Another
number, operator, name or negation does not, nor do other words of content in its place. What
several texts have in common that were told apart is a template: of it nothing follows.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from components.data.duplicates.alignment import Difference, differences
from components.data.duplicates.tokens import (
    Tokens,
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
_SHARE = 0.015  # of the words: so much other content makes another text
_INSERTED = 5  # words of content inside a text, of which more are a paragraph that was put in
_PHRASE = 3  # words of content
_IN_CODE = 8  # tokens that are there or not in code, of which more are a block
_PUT_IN = 0.5  # of a negation that was put in or left out: among many such words it says less
_LEFT_OUT = 0.2  # of a difference that says nothing, words that were put in or left out
_IN_PLACE = 8  # tokens, of which more are a paragraph with a negation, not a sentence denied
_TYPED_AS_ONE = 6  # letters, from which on a name with one other letter is misspelled
_RECASED = 0.3  # share of words in other case from which on a whole text was put in it
_LONG = 400_000  # characters, from which on the likeness of the words decides alone
_CACHED = 8_000_000  # characters whose tokens are kept
_MANY = 24  # texts that one is told apart from, after which it is taken for a new one
_FEW = 2  # texts that have the same run of tokens before it is their template's
_PEEK = 4  # more texts that are looked at for it


class Evidence(NamedTuple):
    """What the differences between two texts are."""

    strong: float = 0
    """Numbers, operators, names and negations."""
    content: float = 0
    """Words of content that only one of the texts has."""
    noise: float = 0
    """Differences that say nothing."""

    def tells_apart(self, num_words: int) -> bool:
        """Whether they make two texts of it; `num_words` are those of the shorter one."""
        weight = _WEIGHT * self.strong + self.content
        enough = self.strong >= _PUT_IN or self.content >= _SHARE * num_words
        return weight > _NOISE * self.noise and enough and weight > 0


class Judge:
    """Compares the texts of rows, which it reads when it must."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        """Judge what `text_of` says of a row."""
        self._text_of = text_of
        self._known: OrderedDict[int, Tokens | None] = OrderedDict()
        self._size = 0
        self.told_apart: list[tuple[int, int]] = []
        """Pairs (later, earlier) of one template, or that differ in little that matters."""

    def first_alike(self, row: int, others: Sequence[int]) -> int | None:
        """Return the first of `others` that says what `row` does, if one does.

        `others` are in the order of their likeness; all were kept before.
        """
        apart: list[int] = []
        for number, other in enumerate(others[:_MANY]):
            if self.is_alike(row, other):
                following = others[number + 1 : number + 1 + _PEEK]
                if len(apart) < _FEW:
                    apart += [each for each in following if not self.is_alike(row, each)]
                if self._is_alike_beside(row, other, apart):
                    return other
            apart.append(other)
        self.told_apart += ((row, other) for other in dict.fromkeys(apart))
        return None

    def is_alike(self, row: int, other: int) -> bool:
        """Whether the two texts say the same, by what they differ in."""
        one, two = self._tokens(row), self._tokens(other)
        return one is None or two is None or not are_apart(one, two)

    def _is_alike_beside(self, row: int, other: int, apart: Sequence[int]) -> bool:
        """Whether `row` has what `other` says beside what those of its template have too."""
        one, two = self._tokens(row), self._tokens(other)
        if len(apart) < _FEW or one is None or two is None:
            return True
        shared = Counter[tuple[str, ...]]()
        for each in apart:
            if (tokens := self._tokens(each)) is not None:
                shared.update(set(tokens.ngrams))
        own = {ngram for ngram in two.ngrams if shared[ngram] < _FEW}
        return 2 * len(own.intersection(one.ngrams)) >= len(own)

    def _tokens(self, row: int) -> Tokens | None:
        if row in self._known:
            self._known.move_to_end(row)
            return self._known[row]
        text = self._text_of(row)
        tokens = self._known[row] = Tokens(text) if len(text) <= _LONG else None
        self._size += len(tokens or ())
        while self._size > _CACHED // 5 and len(self._known) > _FEW:
            self._size -= len(self._known.popitem(last=False)[1] or ())
        return tokens


def are_apart(one: Tokens, other: Tokens) -> bool:
    """Whether two texts of mostly the same words say different things."""
    found = differences(one.folded, other.folded)
    seen = Counter[tuple[tuple[str, ...], tuple[str, ...]]]()
    parts = [_evidence(one, other, each, seen) for each in found]
    again = sum(count - 1 for count in seen.values() if count > 1)  # one word for another each time
    total = Evidence(*map(sum, zip(Evidence(), *parts, strict=True)))
    total = total._replace(strong=total.strong + again + _other_case(one, other, found))
    return total.tells_apart(min(one.num_words, other.num_words))


def _evidence(
    one: Tokens, other: Tokens, where: Difference, seen: Counter[tuple[tuple[str, ...], ...]]
) -> Evidence:
    """Return what one difference is; `seen` counts what stands for what."""
    mine, theirs = one.folded[where.start : where.end], other.folded[slice(*where[2:])]
    strong = _in_code(one, other, where) or _typed(one, other, where)
    words, their_words = (
        [token for token in side if not is_symbol(token)] for side in (mine, theirs)
    )
    if words == their_words:
        return Evidence(strong)
    new, their_new = (
        [token for token in side if is_content(token) and token not in text.distinct]
        for side, text in ((words, other), (their_words, one))
    )
    if new and their_new and not _is_misspelled(new, their_new):
        seen[tuple(new), tuple(their_new)] += 1
        return Evidence(strong + _is_phrase(words, their_words), (len(new) + len(their_new)) / 2)
    if _is_phrase(words, their_words):
        return Evidence(strong + 1)
    if len(words) != len(their_words) and (differing := _differing(words, their_words)):
        is_inside = where.start > 0 and where.end < len(one)
        is_inside = is_inside and where.other_start > 0 and where.other_end < len(other)
        if words and their_words:
            return Evidence(strong, differing)
        if is_inside and differing <= _INSERTED / 2:
            return Evidence(strong, differing, _LEFT_OUT)
        return Evidence(strong)
    if not (words and their_words):
        return Evidence(strong, noise=_LEFT_OUT)
    return Evidence(strong, noise=float(not strong))


def _is_phrase(words: Sequence[str], others: Sequence[str]) -> int:
    """Return 1 if one phrase stands for another, not word for word."""
    sizes = [
        len(_contents(some) - _contents(rest)) for some, rest in ((words, others), (others, words))
    ]
    return int(len(words) != len(others) and min(sizes) >= _PHRASE)


def _differing(words: Sequence[str], others: Sequence[str]) -> float:
    """Return how many words of content are of one side alone, by the side."""
    return len(_contents(words) ^ _contents(others)) / 2


def _contents(words: Sequence[str]) -> set[str]:
    return {word for word in words if is_content(word)}


def _typed(one: Tokens, other: Tokens, where: Difference) -> float:
    """Count the kinds of number, operator, name and negation that stand for another one."""
    places = range(where.start, where.end), range(where.other_start, where.other_end)
    sides = [[text.folded[p] for p in at] for text, at in zip((one, other), places, strict=True)]
    numbers, operators, negations = (
        [[token for token in side if is_kind(token)] for side in sides]
        for is_kind in (is_number, is_operator, is_negation)
    )
    capitals = [
        [text.folded[place] for place in at if text.has_capital(place)]
        for text, at in zip((one, other), places, strict=True)
    ]
    is_named = any(
        text.is_name(p) for text, at in zip((one, other), places, strict=True) for p in at
    )
    near = one.folded[max(0, where.start - 1) : where.start] + one.folded[where.end : where.end + 1]
    if any(is_number(token) or len(token) == 1 for token in near if not is_symbol(token)):
        arithmetic = [[token for token in side if is_arithmetic(token)] for side in sides]
        operators = [a + b for a, b in zip(operators, arithmetic, strict=True)]
    found = sum(a != b for a, b in (numbers, operators) if a and b)
    if max(map(len, sides)) <= _IN_PLACE:
        one_is_empty = not all(any(not is_symbol(token) for token in side) for side in sides)
        denied = len(negations[0]) != len(negations[1])
        found += denied * (_PUT_IN if one_is_empty else 1)
    if is_named and set(capitals[0]) != set(capitals[1]) and all(capitals):
        found += not _is_misspelled(*capitals)
    return found


def _in_code(one: Tokens, other: Tokens, where: Difference) -> int:
    """Return 1 if the difference stands in code, where any token does something."""
    mine, theirs = (
        [token for token in text.folded[start:end] if matters_in_code(token)]
        for text, start, end in ((one, *where[:2]), (other, *where[2:]))
    )
    if mine == theirs or not (one.is_code(*where[:2]) and other.is_code(*where[2:])):
        return 0
    both = bool(mine) and bool(theirs)
    return int(both or len(mine) + len(theirs) <= _IN_CODE)


def _other_case(one: Tokens, other: Tokens, found: Sequence[Difference]) -> int:
    """Count the words in code that only differ in case, unless a whole text was put in one."""
    changed: list[int] = []
    at = their = 0
    for gap in [*found, Difference(len(one), len(one), len(other), len(other))]:
        same = one.raw[at : gap.start], other.raw[their : gap.other_start]
        changed += [at + n for n, (a, b) in enumerate(zip(*same, strict=True)) if a != b]
        at, their = gap.end, gap.other_end
    words = [place for place in changed if one.raw[place][0].isalpha()]
    if len(words) >= _RECASED * one.num_words or one.is_in_one_case or other.is_in_one_case:
        return 0
    return sum(one.is_code(place, place + 1) for place in words)


def _is_misspelled(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each word is one of the others with a letter that was missed, put in or swapped."""
    return len(some) == len(others) and all(map(_one_letter, some, others))


def _one_letter(word: str, other: str) -> bool:
    if word == other:
        return True
    if word[:1] != other[:1] or min(len(word), len(other)) < _TYPED_AS_ONE - 1:
        return False
    head = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), None)
    if head is None:
        return abs(len(word) - len(other)) == 1
    rest, others = word[head:], other[head:]
    swapped = rest[:2] == others[:2][::-1] and rest[2:] == others[2:]
    return swapped or rest[1:] == others[1:] or rest[1:] == others or rest == others[1:]
