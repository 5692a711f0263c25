"""What documents have in common that share most of their words and say different things."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from components.core.artifacts.base import Frozen
from components.data.duplicates.alignment import differences
from components.data.duplicates.tokens import Tokens

TEMPLATES = "templates.json"
"""The file that lists them, the most frequent first."""

_LEAST = 3  # documents of one template: two are a pair
_COMPARED = 8  # of them, whose differences are left open
_TEXT = 600  # characters that are shown
_READ = 20_000  # characters that are compared
_OPEN = "…"


class Template(Frozen):
    """A text that several documents fill in."""

    documents: int
    """Documents that were found to be of it, all of which were kept."""
    text: str
    """What they have in common, an ellipsis where they differ."""
    example: str
    """Id of one of them."""


def frequent_templates(
    told_apart: Iterable[tuple[int, int]],
    text_of: Callable[[int], str],
    id_of: Callable[[int], str],
    num_top: int = 10,
) -> tuple[tuple[Template, ...], int]:
    """Return the most frequent templates, and how many documents all of them have.

    Args:
        told_apart: pairs of rows of one template.
        text_of: the text of a row.
        id_of: the id of the document that a row is of.
        num_top: templates that are returned.
    """
    families = [rows for rows in _families(told_apart) if len(rows) >= _LEAST]
    families.sort(key=lambda rows: (-len(rows), rows[0]))
    top = tuple(
        Template(
            documents=len(rows),
            text=_skeleton([text_of(row)[:_READ] for row in rows[:_COMPARED]]),
            example=id_of(rows[0]),
        )
        for rows in families[:num_top]
    )
    return top, sum(map(len, families))


def _families(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the rows that pairs join, ascending in each family."""
    first: dict[int, int] = {}

    def root(row: int) -> int:
        while (up := first.setdefault(row, row)) != row:
            first[row] = first[up]
            row = first[row]
        return row

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        first[high] = low
    members = defaultdict[int, list[int]](list)
    for row in sorted(first):
        members[root(row)].append(row)
    return list(members.values())


def _skeleton(texts: list[str]) -> str:
    """Return the first text, open where one of the others differs."""
    one = Tokens(texts[0])
    is_open = Counter[int]()
    for text in texts[1:]:
        for gap in differences(one.folded, Tokens(text).folded):
            is_open.update(range(gap.start, gap.end))
    parts: list[str] = []
    end = 0
    for place, (start, stop) in enumerate(one.spans):
        if place not in is_open:
            parts += [texts[0][end:start], texts[0][start:stop]]
        elif not parts or parts[-1] != _OPEN:
            parts += [texts[0][end:start], _OPEN]
        end = stop
    return "".join(parts)[:_TEXT]
