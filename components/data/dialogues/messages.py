"""Lists of messages, as OpenAI's or ShareGPT's files have them, as messages of ours."""

import json
from collections.abc import Mapping

from components.data.dialogues.refused import Refused
from components.data.dialogues.values import (
    CALL_PART,
    json_of,
    mapping_of,
    sequence_of,
    shown,
    text_of,
)
from components.lib.text.dialogue import Message, Role, ToolCall

CALL = "call"
_ROLE = ("role", "from", "speaker")
_CONTENT = ("content", "value", "text")
_ROLES: dict[str, Role | str] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "tool_response", "ipython"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), CALL),
}


def messages_of(value: object, what: str) -> tuple[Message, ...]:
    """Return the messages of a list; a call of a tool belongs to the answer before it.

    Raises:
        Refused: it is no list of messages.
    """
    entries = sequence_of(json_of(value))
    if entries is None:
        raise Refused("not text", f"{what} is no list of messages: {shown(value)}")
    messages: list[Message] = []
    for entry in entries:
        message, is_call = _message(entry, what)
        if is_call and messages and messages[-1].role == "assistant":
            calls = messages[-1].tool_calls + message.tool_calls
            messages[-1] = messages[-1].model_copy(update={"tool_calls": calls})
        elif message.role != "system" or message.content.strip():
            messages.append(message)
    return tuple(messages)


def is_messages(value: object) -> bool:
    """Whether it is a list of objects of which each has a role."""
    entries = sequence_of(json_of(value))
    return bool(entries) and all(_key(mapping_of(entry), _ROLE) for entry in entries or ())


def is_sharegpt(value: object) -> bool:
    """Whether the messages say `from`, not `role`."""
    entries = sequence_of(json_of(value)) or ({},)
    return _key(mapping_of(entries[0]), _ROLE) == "from"


def _key(entry: Mapping[str, object] | None, names: tuple[str, ...]) -> str:
    """Return the first of some keys that has a value."""
    return next((name for name in names if (entry or {}).get(name) is not None), "")


def _message(entry: object, what: str) -> tuple[Message, bool]:
    """Return a message, and whether it is nothing but the call of a tool."""
    known = mapping_of(entry)
    role_key = _key(known, _ROLE)
    if known is None or not role_key:
        raise Refused("unknown role", f"a message of {what} names none: {shown(entry)}")
    role = _ROLES.get(str(known[role_key]).strip().lower())
    if role is None:
        raise Refused("unknown role", f"{known[role_key]!r}; known are {', '.join(_ROLES)}")
    content = known.get(_key(known, _CONTENT))
    if role == CALL:
        return Message(role="assistant", tool_calls=_calls(json_of(content))), True
    message = {
        "role": role,
        "content": text_of(content, f"{role}'s {_key(known, _CONTENT) or 'content'}"),
        "tool_calls": _calls_of(known) if role == "assistant" else (),
        "name": text_of(known.get("name"), "name") if role == "tool" else "",
        "tool_call_id": text_of(known.get("tool_call_id"), "id") if role == "tool" else "",
    }
    return Message.model_validate(message), False


def _calls_of(message: Mapping[str, object]) -> tuple[ToolCall, ...]:
    """Return the calls of an assistant's message, in OpenAI's form of today or the one before."""
    calls = message.get("tool_calls") or message.get("function_call")
    if calls:
        return _calls(json_of(calls))
    parts = map(mapping_of, sequence_of(message.get(_key(message, _CONTENT))) or ())
    found = [part for part in parts if part is not None and part.get("type") == CALL_PART]
    return _calls([part.get("value", part) for part in found])


def _calls(value: object) -> tuple[ToolCall, ...]:
    entries = sequence_of(value)
    return tuple(_call(entry) for entry in ((value,) if entries is None else entries))


def _call(entry: object) -> ToolCall:
    known = mapping_of(json_of(entry)) or {}
    function = mapping_of(json_of(known.get("function"))) or known
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise Refused("tool call without a name", shown(entry))
    arguments = function.get("arguments", function.get("parameters"))
    return ToolCall(name=name, arguments=_arguments(arguments), id=str(known.get("id") or ""))


def _arguments(value: object) -> str:
    """Return arguments as the text of an object of JSON, as they stand if they are text."""
    if value is None or value == "":
        return "{}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError) as error:
        raise Refused("arguments are no JSON", f"{shown(value)}: {error}") from error
    if not is_object:
        raise Refused("arguments are no JSON", f"{shown(value)} is no object")
    return text


def tools_of(value: object) -> tuple[str, ...]:
    """Return JSON schemas as OpenAI's `tools`, each as text. Raises Refused if they are none."""
    if value in (None, "", "[]"):
        return ()
    found = json_of(value)
    entries = (found,) if mapping_of(found) is not None else sequence_of(found)
    if entries is None:
        raise Refused("tools are no JSON", shown(value))
    return tuple(_tool(json_of(entry)) for entry in entries)


def _tool(entry: object) -> str:
    known = mapping_of(entry)
    if known is None:
        raise Refused("tools are no JSON", shown(entry))
    whole = known if "function" in known else {"type": "function", "function": known}
    return json.dumps(whole, ensure_ascii=False)
