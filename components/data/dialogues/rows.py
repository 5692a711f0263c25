"""A row of a source as the text of a dialogue or a comparison, before it is written as such."""

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from components.data.dialogues.instructions import dialogue_of
from components.data.dialogues.preferences import comparison_of
from components.lib.text.dialogue import Comparison, Dialogue

Kind = Literal["documents", "evaluation", "instructions", "preferences"]
"""What the rows of a source are."""

DROPPED = "messages after the last answer"
"""What may be left out of a row that is kept."""

COLUMNS = frozenset(
    {
        *("messages", "conversations", "conversation", "system", "tools", "functions", "history"),
        *("instruction", "input", "context", "output", "prompt", "completion", "response"),
        *("question", "answer", "chosen", "rejected", "id", "license"),
    }
)
"""Columns that say something; others are not looked at."""


class Known(NamedTuple):
    """What a row was recognised as."""

    text: str
    """Its dialogue or comparison as JSON, without an id."""
    format: str
    """Name of its format."""
    num_dropped: int
    """Messages that were left out of it."""


def known_row(row: Mapping[str, object], kind: Kind) -> Known:
    """Return what a row is. Raises `Refused` if it is no dialogue or comparison."""
    if kind == "preferences":
        compared = comparison_of(row, "")
        return Known(_text(compared.comparison), compared.format, 0)
    found = dialogue_of(row, "")
    return Known(_text(found.dialogue), found.format, found.num_dropped)


def from_text(kind: Kind, name: str, text: str) -> Dialogue | Comparison:
    """Return what `known_row` made a text of, under its id."""
    made = Comparison if kind == "preferences" else Dialogue
    return made.model_validate({"id": name, **json.loads(text)})


def _text(made: Dialogue | Comparison) -> str:
    """Return what is written of it, less its id, in the form that a set has it."""
    row = made.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
    return json.dumps(row, ensure_ascii=False, sort_keys=True)
