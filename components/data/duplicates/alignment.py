"""Where two texts of mostly the same tokens differ.

Runs that each text has once are put in the longest order that both have (patience diff, Bram
Cohen); what lies between them is short, and compared token by token.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

_RUN = 3  # tokens of an anchor
_AT_ONCE = 64  # tokens that are compared at once
_SMALL = 10  # tokens of both texts that a small difference has
_AGAIN = 4  # equal tokens after it
_SHORT = 600  # tokens between anchors that are compared one by one
_APART = 3  # equal tokens, fewer than which between two differences make one of them


class Difference(NamedTuple):
    """Tokens of the one text where the other one has others, or none."""

    start: int
    """First token of the one."""
    end: int
    """The one after its last."""
    other_start: int
    """First token of the other."""
    other_end: int
    """The one after its last."""


def differences(one: Sequence[str], other: Sequence[str]) -> list[Difference]:
    """Return where they differ, in order; differences that nearly touch are one."""
    merged: list[Difference] = []
    for new in _walk(one, other):
        if merged and new.start - merged[-1].end < _APART:
            last = merged.pop()
            new = Difference(last.start, new.end, last.other_start, new.other_end)
        merged.append(new)
    return merged


def _walk(one: Sequence[str], other: Sequence[str]) -> Iterator[Difference]:
    """Yield small differences one after the other; from a large one on, the others by anchors."""
    i = j = 0
    while i < len(one) or j < len(other):
        size = _common_from(one, i, other, j)
        i, j = i + size, j + size
        if i == len(one) or j == len(other):
            break
        if (gap := _small_gap(one, i, other, j)) is None:
            i, j = (i, j) if i >= _RUN else (0, 0)  # a first word is often that of a title too
            for far in _gaps(one[i:], other[j:]):
                yield Difference(i + far.start, i + far.end, j + far.other_start, j + far.other_end)
            return
        yield Difference(i, i + gap[0], j, j + gap[1])
        i, j = i + gap[0], j + gap[1]
    if i < len(one) or j < len(other):
        yield Difference(i, len(one), j, len(other))


def _common_from(one: Sequence[str], i: int, other: Sequence[str], j: int) -> int:
    """Return how many tokens are the same from `i` and `j` on."""
    start = i
    while i < len(one) and one[i : i + _AT_ONCE] == other[j : j + _AT_ONCE]:
        i, j = i + _AT_ONCE, j + _AT_ONCE
    over = max(0, i - len(one))
    i, j = i - over, j - over
    return i - start + common(one[i : i + _AT_ONCE], other[j : j + _AT_ONCE])


def _small_gap(one: Sequence[str], i: int, other: Sequence[str], j: int) -> tuple[int, int] | None:
    """Return how many tokens of each lie before the next run that both have, if these are few."""
    for size in range(1, _SMALL + 1):
        for a in range(size + 1):
            run = one[i + a : i + a + _AGAIN]
            if len(run) == _AGAIN and run == other[j + size - a : j + size - a + _AGAIN]:
                return a, size - a
    return None


def _gaps(one: Sequence[str], other: Sequence[str]) -> Iterator[Difference]:
    i = j = 0
    for a, b in [*_anchors(one, other), (len(one), len(other))]:
        if a < i or b < j:
            continue  # inside the run of the anchor before
        back = common(one[i:a][::-1], other[j:b][::-1])
        start, other_start = a - back, b - back
        for gap in _between(one[i:start], other[j:other_start]):
            yield Difference(i + gap.start, i + gap.end, j + gap.other_start, j + gap.other_end)
        size = common(one[a:], other[b:])
        i, j = a + size, b + size


def _between(one: Sequence[str], other: Sequence[str]) -> Iterator[Difference]:
    if not one and not other:
        return
    if not one or not other or len(one) + len(other) > _SHORT:
        head = common(one, other)
        yield Difference(head, len(one), head, len(other))
        return
    for kind, *places in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind != "equal":
            yield Difference(*places)


def _anchors(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places of runs that each has once, in the longest order that both have."""
    places = _once(other)
    pairs = [(at, places[run]) for run, at in _once(one).items() if run in places]
    ends: list[int] = []  # the least last place of a chain of each length
    last: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [place]
        last[length : length + 1] = [number]
    chain: list[tuple[int, int]] = []
    at = last[-1] if last else -1
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]


def _once(tokens: Sequence[str]) -> dict[tuple[str, ...], int]:
    runs = list(zip(*(tokens[i:] for i in range(_RUN)), strict=False))
    counts = Counter(runs)
    return {run: at for at, run in enumerate(runs) if counts[run] == 1}


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many first tokens are the same."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))
