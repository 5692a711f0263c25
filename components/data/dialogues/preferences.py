"""Rows of preferences, in the formats of the field, as comparisons."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from components.data.dialogues.instructions import (
    LISTS,
    Row,
    asked_of,
    said,
    system_of,
    unknown,
)
from components.data.dialogues.messages import is_messages, messages_of, tools_of
from components.data.dialogues.order import check_order
from components.data.dialogues.refused import Refused
from components.data.dialogues.thoughts import num_thoughts
from components.data.dialogues.values import json_of, mapping_of
from components.lib.text.dialogue import Comparison, Message

_ASKED = ("prompt", "instruction", "question")
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")
KNOWN = (
    "prompt, conversations, messages, instruction or question, each with chosen and rejected; "
    "or whole dialogues in chosen and rejected"
)


class Compared(NamedTuple):
    """A comparison and what it was made of."""

    comparison: Comparison
    """The comparison."""
    format: str
    """Name of the format of its row."""
    num_thoughts: int
    """Fields and parts that hold thoughts, which are left out."""


class _Sides(NamedTuple):
    """A prompt with both answers, as messages."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


def comparison_of(row: Row, name: str) -> Compared:
    """Return the comparison of a row; `name` becomes its id.

    Raises:
        Refused: its columns are of no known format, or nothing can be learnt from it.
    """
    if row.get("chosen") is None or row.get("rejected") is None:
        raise unknown(row, KNOWN)
    kind, sides = _sides(row)
    prompt = (*system_of(row, sides.prompt), *sides.prompt)
    _check_prompt(prompt)
    chosen, rejected = _answer(sides.chosen, "chosen"), _answer(sides.rejected, "rejected")
    if chosen == rejected:
        raise Refused("identical answers", f"both are {chosen[:60]!r}")
    found = Comparison(
        id=name,
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        tools=tools_of(row.get("tools")),
    )
    columns = dict.fromkeys((*kind.split(", "), "chosen", "rejected"))  # a kind names its own
    return Compared(found, kind, num_thoughts(row, columns))


def _sides(row: Row) -> tuple[str, _Sides]:
    chosen, rejected = (_turns(row[name], name) for name in ("chosen", "rejected"))
    for column in LISTS:
        if is_messages(row.get(column)):
            return f"{column}, chosen, rejected", _Sides(
                messages_of(row[column], column), chosen, rejected
            )
    if len(chosen) > 1 or len(rejected) > 1:
        kind = "whole dialogues" if is_messages(json_of(row["chosen"])) else "Human/Assistant texts"
        return kind, _parted(chosen, rejected)
    for column in _ASKED:
        if row.get(column) is not None:
            asked = _turns(row[column], column) if column == "prompt" else asked_of(row, column)
            return f"{column}, chosen, rejected", _Sides(asked, chosen, rejected)
    raise unknown(row, KNOWN)


def _turns(value: object, column: str) -> tuple[Message, ...]:
    """Return messages: those of a list or an object, or of a text with `Human:`, `Assistant:`."""
    role = "user" if column == "prompt" else "assistant"
    if isinstance(value, str) and mapping_of(json_of(value)) is None and _TURN.match(value):
        parts = _TURN.split(value)[1:]
        roles = ["user" if name == "Human" else "assistant" for name in parts[::2]]
        texts = [text.strip() for text in parts[1::2]]
        turns = [
            Message.model_validate({"role": role, "content": text})
            for role, text in zip(roles, texts, strict=True)
        ]
        is_open = column == "prompt" and turns[-1].role == "assistant" and not turns[-1].content
        return tuple(turns[:-1] if is_open else turns)
    return said(value, role, column)


def _parted(chosen: Sequence[Message], rejected: Sequence[Message]) -> _Sides:
    """Return what two dialogues have in common, and what each has after that."""
    if chosen[:-1] != rejected[:-1]:
        same = next((n for n, (a, b) in enumerate(zip(chosen, rejected)) if a != b), 0)  # noqa: B905
        detail = f"they differ from message {same + 1} of {len(chosen)} and {len(rejected)} on"
        raise Refused("prompts differ", detail)
    return _Sides(tuple(chosen[:-1]), tuple(chosen[-1:]), tuple(rejected[-1:]))


def _check_prompt(prompt: Sequence[Message]) -> None:
    if not any(message.content.strip() for message in prompt if message.role != "system"):
        raise Refused("empty prompt", "nothing is asked")
    check_order(prompt)
    if prompt[-1].role == "assistant":
        raise Refused("roles out of order", "the prompt ends with an answer")


def _answer(messages: Sequence[Message], side: str) -> str:
    """Return the text of the one message that an answer is."""
    if len(messages) != 1 or messages[0].role != "assistant":
        roles = ", ".join(message.role for message in messages)
        raise Refused("roles out of order", f"{side} is no answer of an assistant: {roles}")
    if messages[0].tool_calls:
        raise Refused("answer that calls a tool", f"{side} calls {messages[0].tool_calls[0].name}")
    if not messages[0].content.strip():
        raise Refused("empty answer", f"{side} says nothing")
    return messages[0].content
