"""A list of messages as the text of a chat: what each says, after who says it."""

from collections.abc import Mapping, Sequence
from typing import cast

_ROLE = ("role", "from", "speaker")
_CONTENT = ("content", "value", "text")


def chat_text(messages: object) -> str | None:
    """Return `role: content` of each message, with a blank line between; None if it is no chat.

    Messages are those of OpenAI (`role`, `content`, which may be parts) or ShareGPT (`from`,
    `value`). One that says nothing, such as a call of a tool, is left out.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes) or not messages:
        return None
    turns: list[str] = []
    for message in cast("Sequence[object]", messages):
        if not isinstance(message, Mapping):
            return None
        known = cast("Mapping[str, object]", message)
        role = next((known[key] for key in _ROLE if key in known), None)
        if not isinstance(role, str) or not any(key in known for key in _CONTENT):
            return None
        content = _content(next(known[key] for key in _CONTENT if key in known))
        if content is None:
            return None
        turns += [f"{role}: {content}"] if content.strip() else []
    return "\n\n".join(turns)


def _content(value: object) -> str | None:
    """Return a content that is a text, or the texts among its parts."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return None
    parts = [part for part in cast("Sequence[object]", value) if isinstance(part, Mapping)]
    texts = (cast("Mapping[str, object]", part).get("text") for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))
