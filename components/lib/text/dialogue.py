"""Dialogues and comparisons as the platform keeps them, whatever format they came in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from components.core.artifacts.base import Frozen

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Frozen):
    """A call that an assistant makes of a tool."""

    name: str
    """Name of the tool."""
    arguments: str = "{}"
    """The arguments, a JSON object as text."""
    id: str = ""
    """By which the tool's answer names the call."""


class Message(Frozen):
    """What one party of a dialogue says."""

    role: Role
    """Who says it."""
    content: str = ""
    """What is said."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that an assistant makes."""
    name: str = ""
    """The tool whose answer it is."""
    tool_call_id: str = ""
    """The call that it answers."""

    def for_template(self) -> dict[str, Any]:
        """Return the message as chat templates read it: OpenAI's keys, arguments as an object."""
        calls = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
                **({"id": call.id} if call.id else {}),
            }
            for call in self.tool_calls
        ]
        beside = {"name": self.name, "tool_call_id": self.tool_call_id, "tool_calls": calls}
        return {"role": self.role, "content": self.content} | {
            key: value for key, value in beside.items() if value
        }


class Dialogue(Frozen):
    """Messages in turn; an assistant's are learnt."""

    id: str
    """Its set and where it stood there, such as `mine/12`."""
    messages: tuple[Message, ...]
    """In order; the last is an assistant's."""
    tools: tuple[str, ...] = ()
    """What the assistant may call: JSON schemas as text, as OpenAI's `tools`."""

    @property
    def source(self) -> str:
        """The set that it is of."""
        return self.id.partition("/")[0]

    def schemas(self) -> list[dict[str, Any]] | None:
        """Return its tools as chat templates read them; None for none."""
        return [json.loads(tool) for tool in self.tools] or None


class Comparison(Frozen):
    """A prompt with two answers, of which one was preferred."""

    id: str
    """Its set and where it stood there."""
    prompt: tuple[Message, ...]
    """What was answered; the last message is no assistant's."""
    chosen: str
    """The answer that was preferred."""
    rejected: str
    """The other one."""
    tools: tuple[str, ...] = ()
    """As for `Dialogue`."""

    def dialogues(self) -> tuple[Dialogue, Dialogue]:
        """Return the prompt with the answer that was chosen, and with the other."""
        chosen, rejected = (
            Dialogue(
                id=self.id,
                messages=(*self.prompt, Message(role="assistant", content=answer)),
                tools=self.tools,
            )
            for answer in (self.chosen, self.rejected)
        )
        return chosen, rejected


def read_dialogues(file: Path) -> Iterator[Dialogue]:
    """Yield the dialogues of a file of JSON lines; a micro-task is a question and its answer.

    Raises:
        ValueError: a line is neither.
    """
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _dialogue(json.loads(line))
            except (KeyError, ValidationError, json.JSONDecodeError) as error:
                raise ValueError(f"Line {number} of {file} is no dialogue ({error}).") from error


def _dialogue(row: dict[str, Any]) -> Dialogue:
    if "messages" in row:
        return Dialogue.model_validate(row)
    messages = (
        Message(role="user", content=row["prompt"]),
        Message(role="assistant", content=row["completion"]),
    )
    return Dialogue(id=f"microtasks/{row['id']}", messages=messages)
