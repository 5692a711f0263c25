"""Calls of tools in the text of an answer, in the forms that open models are taught."""

import json
import re
from typing import Any, cast
from uuid import uuid4

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)  # Hermes, Qwen, SmolLM


def said_and_called(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return what an answer says besides its calls, and the calls in OpenAI's form.

    What looks like a call and is no JSON object with a name is text.
    """
    calls = [call for body in _TAGGED.findall(text) for call in _calls(body)]
    if calls:
        return _TAGGED.sub("", text).strip(), calls
    bare = _calls(text)  # Llama 3: the whole answer is the object
    return ("", bare) if bare else (text, [])


def _calls(body: str) -> list[dict[str, Any]]:
    """Return the call that a text is, or the calls of a list."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    rows = cast("list[Any]", found if isinstance(found, list) else [found])
    made: list[dict[str, Any]] = []
    for row in rows:
        if not isinstance(row, dict):
            return []
        call = cast("dict[str, Any]", row)
        arguments = call.get("arguments", call.get("parameters"))
        if not isinstance(call.get("name"), str) or not isinstance(arguments, dict):
            return []
        function = {"name": call["name"], "arguments": json.dumps(arguments, ensure_ascii=False)}
        made.append({"id": f"call_{uuid4().hex[:24]}", "type": "function", "function": function})
    return made
