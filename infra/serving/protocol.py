"""Requests in OpenAI's form: what is read of them, and what is refused in words.

Fields that change nothing (`user`, `metadata`, ...) are read over. Those that would change the
answer and are not known here are refused, so that nobody gets another answer than was asked for.
"""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from infra.serving.refusals import Refusal

_REFUSED = ("best_of", "echo", "logit_bias", "suffix", "functions", "modalities", "audio")
_PENALTIES = ("presence_penalty", "frequency_penalty")
_MOST_LIKELIEST = 20


class StreamOptions(BaseModel):
    """What a stream tells besides the answer."""

    include_usage: bool = False


class _Asked(BaseModel):
    """What both kinds of requests have."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = ""
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    n: int = Field(default=1, ge=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    user: str | None = None
    store: bool = False  # whether the answer may be kept, where the server keeps any
    ignore_eos: bool = False  # as other servers have it, for benchmarks

    @property
    def stops(self) -> list[str]:
        """Strings before which an answer ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(_Asked):
    """`POST /v1/completions`: go on with a text."""

    prompt: str | list[int] | list[str | list[int]]
    logprobs: int | None = Field(default=None, ge=0, le=_MOST_LIKELIEST)

    def prompts(self) -> list[str | list[int]]:
        """Return the texts, or their tokens."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        if prompt and isinstance(prompt[0], int):
            return [TypeAdapter(list[int]).validate_python(prompt)]
        return TypeAdapter(list[str | list[int]]).validate_python(prompt)


class TextPart(BaseModel):
    """A part of what is said."""

    type: Literal["text"]
    text: str


class Function(BaseModel):
    """What a tool call calls."""

    name: str
    arguments: str = "{}"


class ToolCall(BaseModel):
    """A call of a tool that an assistant made."""

    id: str = ""
    type: Literal["function"] = "function"
    function: Function


class ChatMessage(BaseModel):
    """What one party of a dialogue says."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def for_template(self) -> dict[str, Any]:
        """Return the message as chat templates read it; arguments are an object there."""
        content = self.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        said: dict[str, Any] = {"role": role, "content": content or ""}
        if self.tool_calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.function.name,
                        "arguments": _object(call.function.arguments),
                    },
                }
                for call in self.tool_calls
            ]
        more = {"name": self.name, "tool_call_id": self.tool_call_id}
        return said | {key: value for key, value in more.items() if value}


class ResponseFormat(BaseModel):
    """The form that an answer must have."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class ChatRequest(_Asked):
    """`POST /v1/chat/completions`: answer a dialogue."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=_MOST_LIKELIEST)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    response_format: ResponseFormat = ResponseFormat()

    def schemas(self) -> list[dict[str, Any]] | None:
        """Return the tools that the template shows."""
        return None if self.tool_choice == "none" else self.tools or None


class Feedback(BaseModel):
    """`POST /v1/feedback`: what a client thinks of an answer."""

    id: str
    score: float = Field(ge=-1, le=1)


_R = TypeVar("_R", bound=BaseModel)


def parsed(kind: type[_R], body: bytes) -> _R:
    """Return the request in a body.

    Raises:
        Refusal: it is no JSON, or not such a request.
    """
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not valid JSON: {error}.", "invalid_json") from None
    if not isinstance(found, dict):
        raise Refusal(400, "The body is JSON, but no object.", "invalid_json")
    for name in _REFUSED:
        if found.get(name):  # pyright: ignore[reportUnknownMemberType]
            raise Refusal(400, f"{name} is not supported here: leave it out.", param=name)
    for name in _PENALTIES:
        if found.get(name):  # pyright: ignore[reportUnknownMemberType]
            raise Refusal(400, f"{name} is not supported here: set it to 0.", param=name)
    given = {key: value for key, value in found.items() if value is not None}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(map(str, first["loc"]))
    return Refusal(400, f"{param or 'The body'}: {first['msg']}.", "invalid_value", param)


def _object(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
