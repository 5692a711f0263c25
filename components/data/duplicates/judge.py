"""Whether two texts that share most of their words say the same, or are two of one template.

Light edits, other white space and what was added around a text leave it what it was, and so does a
plain word that was left out. Another number, operator, name or negation does not, nor do other
words of content in its place. What several texts have in common that were told apart is a template:
of it nothing follows.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from components.data.duplicates.alignment import Difference, differences
from components.data.duplicates.compared import Compared, Place
from components.data.duplicates.evidence import Evidence, Seen, added, evidence

_RECASED = 0.3  # share of words in other case from which on a whole text was put in it
_LONG = 400_000  # characters, from which on the likeness of the words decides alone
_CACHED = 1_000_000  # characters of texts that are kept, whose words take ten times as much
_MANY = 24  # texts that one is told apart from, after which it is taken for a new one
_FEW = 2  # texts that have the same run of tokens before it is their template's
_PEEK = 4  # more texts that are looked at for it


class Judge:
    """Compares the texts of rows, which it reads when it must."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        """Judge what `text_of` says of a row."""
        self._text_of = text_of
        self._known: OrderedDict[int, Compared | None] = OrderedDict()
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
        one, two = self._compared(row), self._compared(other)
        return one is None or two is None or not are_apart(one, two)

    def _is_alike_beside(self, row: int, other: int, apart: Sequence[int]) -> bool:
        """Whether `row` has what `other` says beside what those of its template have too."""
        one, two = self._compared(row), self._compared(other)
        if len(apart) < _FEW or one is None or two is None:
            return True
        shared = Counter[tuple[str, ...]]()
        for each in apart:
            if (text := self._compared(each)) is not None:
                shared.update(set(text.tokens.ngrams))
        own = {ngram for ngram in two.tokens.ngrams if shared[ngram] < _FEW}
        return 2 * len(own.intersection(one.tokens.ngrams)) >= len(own)

    def _compared(self, row: int) -> Compared | None:
        if row in self._known:
            self._known.move_to_end(row)
            return self._known[row]
        text = self._text_of(row)
        found = self._known[row] = Compared(text) if len(text) <= _LONG else None
        self._size += len(text) if found else 0
        while self._size > _CACHED and len(self._known) > _FEW:
            old = self._known.popitem(last=False)[1]
            self._size -= len(old.written) if old else 0
        return found


def are_apart(one: Compared, other: Compared) -> bool:
    """Whether two texts of mostly the same words say different things."""
    seen: Seen = Counter()
    parts: list[Evidence] = []
    found = differences(one.words, other.words)
    for gap in found:
        mine, theirs = Place(one, *gap[:2]), Place(other, *gap[2:])
        parts += evidence(mine, theirs, seen)
    again = sum(count - 1 for count in seen.values() if count > 1)  # one word for another each time
    total = added(parts)
    strong = total.strong + again + _other_case(one, other, found)
    return total._replace(strong=strong).tells_apart(min(one.num_words, other.num_words))


def _other_case(one: Compared, other: Compared, found: Sequence[Difference]) -> int:
    """Count the words in code that only differ in case, unless a whole text was put in one."""
    changed: list[tuple[int, int]] = []
    at = their = 0
    for gap in [*found, Difference(len(one), len(one), len(other), len(other))]:
        same = one.raw[at : gap.start], other.raw[their : gap.other_start]
        if same[0] != same[1]:
            pairs = enumerate(zip(*same, strict=True))
            changed += [(at + n, their + n) for n, (a, b) in pairs if a != b]
        at, their = gap.end, gap.other_end
    if not changed or len(changed) >= _RECASED * len(one):
        return 0
    if one.is_in_one_case or other.is_in_one_case:
        return 0
    return sum(
        _is_recased_in_code(Place(one, a, a + 1), Place(other, b, b + 1)) for a, b in changed
    )


def _is_recased_in_code(one: Place, other: Place) -> bool:
    return any(
        a != b and a[0].isalpha() and one.is_code(place, place + 1)
        for place, (a, b) in enumerate(zip(one.raw, other.raw, strict=True))
    )
