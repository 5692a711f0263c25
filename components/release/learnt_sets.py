"""The sets of dialogues and comparisons that a released model has learnt, for its card."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from components.core.artifacts.data import Comparisons, Dialogues

NOT_STATED = "not stated"
"""Stands for a licence that nobody named."""


class LearntSet(NamedTuple):
    """A set as it was learnt."""

    kind: str
    """`instructions` or `preferences`."""
    name: str
    """Its name below `data/`."""
    learnt: int
    """Dialogues or comparisons that were learnt."""
    held_out: int
    """Those that were held out."""
    licences: dict[str, int]
    """Rows of the set by licence, as they were added."""

    def row(self) -> tuple[str, ...]:
        """Return it as a row of a table."""
        licences = ", ".join(f"{name} ({n:,})" for name, n in self.licences.items())
        numbers = (f"{self.learnt:,}", f"{self.held_out:,}")
        return (self.kind, self.name, *numbers, licences or NOT_STATED)


HEADINGS = ["kind", "set", "learnt", "held out", "licences (rows)"]
"""Of a table of these rows."""


def learnt_sets(prepared: Sequence[Dialogues | Comparisons]) -> Iterator[LearntSet]:
    """Yield each set of what was prepared, in order."""
    for each in prepared:
        card: dict[str, Any] = json.loads((each.path / "card.json").read_text("utf-8"))
        for name, row in card["sets"].items():
            licences = {licence or NOT_STATED: n for licence, n in row["licenses"].items()}
            learnt = row["kept"] - row["held_out"]
            yield LearntSet(card["kind"], name, learnt, row["held_out"], licences)
