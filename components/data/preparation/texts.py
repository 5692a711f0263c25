"""What is said in dialogues and comparisons, whatever a chat template makes of it."""

import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from components.lib.text.dialogue import Comparison, Dialogue, Message, ToolCall

Row = Dialogue | Comparison
R = TypeVar("R", Dialogue, Comparison)


def messages_of(row: Row) -> tuple[Message, ...]:
    """Return the messages of a dialogue, or the prompt of a comparison."""
    return row.messages if isinstance(row, Dialogue) else row.prompt


def said_in(row: Row) -> str:
    """Return what all say, each on lines of his own: no names of roles, no frame of a template."""
    texts = [message.content for message in messages_of(row)]
    calls = [call.arguments for message in messages_of(row) for call in message.tool_calls]
    answers = [row.chosen, row.rejected] if isinstance(row, Comparison) else []
    return "\n".join(text for text in (*texts, *calls, *answers) if text.strip())


def normalised(row: Row) -> str:
    """Return what is said, however it is spaced and capitalised: what makes two rows the same."""
    return " ".join(said_in(row).casefold().split())


def asked_first(row: Row) -> str:
    """Return what a user says first, however it is spaced and capitalised: what a split goes by."""
    (first, *_) = (each.content for each in messages_of(row) if each.role == "user")
    return " ".join(first.casefold().split())


def with_texts(row: R, change: Callable[[str], str]) -> R:
    """Return a row of which everything that is said is changed by `change`."""
    messages = tuple(_changed(message, change) for message in messages_of(row))
    if isinstance(row, Dialogue):
        return row.model_copy(update={"messages": messages})
    answers = {"chosen": change(row.chosen), "rejected": change(row.rejected)}
    return row.model_copy(update={"prompt": messages, **answers})


def with_contents(row: R, change: Callable[[str], str]) -> R:
    """Return the same, but for calls of tools, which stay as they are."""
    made = with_texts(row, change)
    pairs = zip(messages_of(made), messages_of(row), strict=True)
    messages = tuple(
        new.model_copy(update={"tool_calls": before.tool_calls}) for new, before in pairs
    )
    return made.model_copy(update={"messages" if isinstance(row, Dialogue) else "prompt": messages})


def _changed(message: Message, change: Callable[[str], str]) -> Message:
    calls = tuple(_changed_call(call, change) for call in message.tool_calls)
    return message.model_copy(update={"content": change(message.content), "tool_calls": calls})


def _changed_call(call: ToolCall, change: Callable[[str], str]) -> ToolCall:
    """Return a call whose arguments still are JSON: the texts in it are changed one by one."""
    before = json.loads(call.arguments)
    after = _changed_json(before, change)
    if after == before:
        return call
    return call.model_copy(update={"arguments": json.dumps(after, ensure_ascii=False)})


def _changed_json(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {key: _changed_json(item, change) for key, item in pairs}
    if isinstance(value, list):
        return [_changed_json(item, change) for item in cast("list[Any]", value)]
    return value
