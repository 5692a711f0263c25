"""A row of a source as the text of a dialogue or a comparison, before it is written as such."""

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from components.data.dialogues.instructions import dialogue_of
from components.data.dialogues.preferences import comparison_of
from components.data.dialogues.thoughts import FIELDS
from components.lib.text.dialogue import Comparison, Dialogue

Kind = Literal["documents", "evaluation", "instructions", "preferences"]
"""What the rows of a source are."""

AFTER = "messages after the last answer"
REASONING = "reasoning parts"
LEFT_OUT = (AFTER, REASONING)
"""What may be left out of a row that is kept."""

COLUMNS = frozenset(
    {
        *("messages", "conversations", "conversation", "system", "tools", "functions", "history"),
        *("instruction", "input", "context", "output", "prompt", "completion", "response"),
        *("question", "answer", "chosen", "rejected", "id", "license"),
        *FIELDS,
    }
)
"""Columns that say something; others are not looked at."""


class Known(NamedTuple):
    """What a row was recognised as."""

    text: str
    """Its dialogue or comparison as JSON, without an id."""
    format: str
    """Name of its format."""
    left_out: dict[str, int]
    """How much was left out of it, by the names in `LEFT_OUT`, where anything was."""


def known_row(row: Mapping[str, object], kind: Kind) -> Known:
    """Return what a row is. Raises `Refused` if it is no dialogue or comparison."""
    if kind == "preferences":
        compared = comparison_of(row, "")
        text = _text(compared.comparison)
        return Known(text, compared.format, _left_out(0, compared.num_thoughts))
    found = dialogue_of(row, "")
    left_out = _left_out(found.num_dropped, found.num_thoughts)
    return Known(_text(found.dialogue), found.format, left_out)


def from_text(kind: Kind, name: str, text: str) -> Dialogue | Comparison:
    """Return what `known_row` made a text of, under its id."""
    made = Comparison if kind == "preferences" else Dialogue
    return made.model_validate({"id": name, **json.loads(text)})


def _left_out(*numbers: int) -> dict[str, int]:
    return {name: n for name, n in zip(LEFT_OUT, numbers, strict=True) if n}


def _text(made: Dialogue | Comparison) -> str:
    """Return what is written of it, less its id, in the form that a set has it."""
    row = made.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
    return json.dumps(row, ensure_ascii=False, sort_keys=True)
