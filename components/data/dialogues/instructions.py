"""Rows of instructions, in the formats of the field, as dialogues."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from components.data.dialogues.messages import is_messages, is_sharegpt, messages_of, tools_of
from components.data.dialogues.order import answered
from components.data.dialogues.refused import Refused
from components.data.dialogues.thoughts import num_thoughts
from components.data.dialogues.values import json_of, sequence_of, text_of
from components.lib.text.dialogue import Dialogue, Message

Row = Mapping[str, object]

LISTS = ("messages", "conversations", "conversation")
_PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
)
_INPUTS = ("input", "context")
KNOWN = (
    "OpenAI (messages), ShareGPT (conversations), Alpaca (instruction, input, output), "
    "prompt/completion, prompt/response, question/answer"
)


class Recognised(NamedTuple):
    """A dialogue and what it was made of."""

    dialogue: Dialogue
    """The dialogue."""
    format: str
    """Name of the format of its row."""
    num_dropped: int
    """Messages after the last answer, which are left out."""
    num_thoughts: int
    """Fields and parts that hold thoughts, which are left out too."""


def dialogue_of(row: Row, name: str) -> Recognised:
    """Return the dialogue of a row; `name` becomes its id.

    Raises:
        Refused: its columns are of no known format, or it is no dialogue.
    """
    kind, columns, messages = _messages(row)
    messages = (*system_of(row, messages), *messages)
    kept = answered(messages)
    tools = tools_of(row.get("tools") or row.get("functions"))
    found = Dialogue(id=name, messages=kept, tools=tools)
    return Recognised(found, kind, len(messages) - len(kept), num_thoughts(row, columns))


def _messages(row: Row) -> tuple[str, Sequence[str], tuple[Message, ...]]:
    """Return the name of the format, the columns that the messages are of, and these."""
    for column in LISTS:
        if is_messages(row.get(column)):
            kind = "ShareGPT" if is_sharegpt(row[column]) else "OpenAI messages"
            return kind, (column,), messages_of(row[column], column)
    for asked, answer in _PAIRS:
        if row.get(asked) is not None and row.get(answer) is not None:
            kind = "Alpaca" if asked == "instruction" else f"{asked}/{answer}"
            turns = (*asked_of(row, asked), *said(row[answer], "assistant", answer))
            return kind, (asked, answer, "history"), turns
    raise unknown(row, KNOWN)


def system_of(row: Row, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return what the column `system` says, if the messages have no such message themselves."""
    text = text_of(row.get("system"), "system")
    has_one = bool(messages) and messages[0].role == "system"
    return () if has_one or not text.strip() else (Message(role="system", content=text),)


def asked_of(row: Row, column: str) -> tuple[Message, ...]:
    """Return what is asked: the messages or the text of a column, after what was said before."""
    if column != "instruction":
        return said(row[column], "user", column)
    texts = [text_of(row.get(name), name) for name in (column, *_INPUTS)]
    question = "\n\n".join(text for text in texts if text.strip())
    return (*_history(row.get("history")), Message(role="user", content=question))


def said(value: object, role: str, column: str) -> tuple[Message, ...]:
    """Return the messages of a list, or of one of its entries, or a text as a message."""
    found = json_of(value)
    if isinstance(found, Mapping):
        found = [found]
    if is_messages(found):
        return messages_of(found, column)
    return (Message.model_validate({"role": role, "content": text_of(value, column)}),)


def _history(value: object) -> tuple[Message, ...]:
    """Return Alpaca's earlier turns, pairs of question and answer."""
    messages: list[Message] = []
    for pair in sequence_of(json_of(value)) or ():
        turns = sequence_of(pair)
        if turns is None or len(turns) != 2:
            raise Refused("not text", f"history is no list of pairs: {pair!r:.60}")
        messages += [*said(turns[0], "user", "history"), *said(turns[1], "assistant", "history")]
    return tuple(messages)


def unknown(row: Row, known: str) -> Refused:
    """Return the refusal of a row whose columns are of no format."""
    names = ", ".join(sorted(str(name) for name in row))
    return Refused("no known format", f"its columns are {names or 'none'}; known: {known}")
