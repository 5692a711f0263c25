"""The values of a row: texts, and JSON that may stand there as text, as in CSV."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from components.data.dialogues.refused import Refused

CALL_PART = "tool_call"
"""Type of a part of a content that calls a tool."""
THOUGHTS = ("reasoning", "thinking", "redacted_thinking")
"""Types of parts that are no part of an answer."""
_NOT_SAID = (CALL_PART, *THOUGHTS)
_SHOWN = 60  # characters of a value that an error quotes


def text_of(value: object, what: str) -> str:
    """Return a text, or the texts among the parts of a content; nothing is an empty text."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    if (parts := sequence_of(value)) is None:
        raise Refused("not text", f"{what} is {type(value).__name__}: {shown(value)}")
    said = (part for part in parts if (mapping_of(part) or {}).get("type") not in _NOT_SAID)
    return "\n".join(_part(part, what) for part in said)


def _part(part: object, what: str) -> str:
    """Return the text of a part. An image has none, and a dialogue without it another meaning."""
    if isinstance(part, str):
        return part
    known = mapping_of(part) or {}
    text = known.get("text") if known.get("text") is not None else known.get("value")
    if known.get("type", "text") != "text" or not isinstance(text, str):
        raise Refused("not text", f"a part of {what} is no text: {shown(part)}")
    return text


def json_of(value: object) -> object:
    """Return what a text that looks like JSON holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return cast("object", json.loads(value))
        except (ValueError, RecursionError):
            return value
    return value


def sequence_of(value: object) -> Sequence[object] | None:
    """Return a list as such; None if it is none."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return cast("Sequence[object]", value) if is_list else None


def mapping_of(value: object) -> Mapping[str, object] | None:
    """Return an object of JSON as such; None if it is none."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def shown(value: object) -> str:
    """Return the beginning of a value, for an error."""
    return repr(value)[:_SHOWN]
