"""Thoughts of a row: no part of an answer, so they are left out of dialogues, and counted."""

from collections.abc import Iterable, Mapping

from components.data.dialogues.messages import is_messages
from components.data.dialogues.values import THOUGHTS, json_of, mapping_of, sequence_of

FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Names of the thoughts of a message, and of a column that holds those of a row."""

_CONTENT = ("content", "value", "text")
_FLAGS = frozenset({"", "on", "off", "yes", "no", "true", "false", "none", "low", "medium", "high"})


def num_thoughts(row: Mapping[str, object], columns: Iterable[str]) -> int:
    """Return how many fields and parts of a row hold thoughts.

    `columns` are those that its messages are of. What says only whether there was thought, such as
    `reasoning: on`, is none.
    """
    return _fields(row) + sum(_within(_parsed(row.get(column))) for column in columns)


def _parsed(value: object) -> object:
    """Return the messages that a text of JSON holds, or the value as it is."""
    found = json_of(value)
    return found if is_messages([found] if isinstance(found, Mapping) else found) else value


def _within(value: object) -> int:
    """Count in a message or a part of one, or in a list of such."""
    if (known := mapping_of(value)) is None:
        return sum(map(_within, sequence_of(value) or ()))
    if known.get("type") in THOUGHTS:
        return 1
    return _fields(known) + sum(_within(known.get(name)) for name in _CONTENT)


def _fields(known: Mapping[str, object]) -> int:
    return sum(_is_said(known.get(name)) for name in FIELDS)


def _is_said(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() not in _FLAGS
    return bool(sequence_of(value) or mapping_of(value))
