"""Answers in OpenAI's form: whole ones, and the chunks of streams."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from components.lib.inference.generation import Made
from infra.serving.answering import Answers, Piece
from infra.serving.models import ServedModel
from infra.serving.tools import said_and_called


class Form(ABC):
    """How one request is answered."""

    prefix: str
    """Of its id."""
    kind: str
    """Of a whole answer, as `object` says it."""
    chunk: str
    """Of a chunk."""

    def __init__(self, model: ServedModel, num_prompt_tokens: int, tells_logprobs: bool) -> None:
        """Answer in the name of `model`."""
        self._model = model
        self.num_prompt_tokens = num_prompt_tokens
        """Tokens of all prompts."""
        self._tells_logprobs = tells_logprobs
        self.id = f"{self.prefix}-{uuid4().hex}"
        self._created = int(time.time())

    def head(self, kind: str) -> dict[str, Any]:
        """Return what every answer and chunk begins with."""
        found = self._model.found
        return {
            "id": self.id,
            "object": kind,
            "created": self._created,
            "model": found.name,
            "system_fingerprint": found.label,
        }

    def usage(self, answers: Answers) -> dict[str, int]:
        """Return what it cost, in tokens."""
        made = sum(answers.num_made)
        return {
            "prompt_tokens": self.num_prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.num_prompt_tokens + made,
        }

    def whole(self, answers: Answers, pieces: Sequence[Piece]) -> dict[str, Any]:
        """Return the answer of a request that does not stream."""
        choices: list[dict[str, Any]] = []
        for index, text in enumerate(answers.texts):
            own = [piece for piece in pieces if piece.choice == index]
            made = [each for piece in own for each in piece.made]
            finish = next(piece.finish for piece in reversed(own) if piece.finish)
            choices.append({"index": index, **self._choice(text, made, finish)})
        return {**self.head(self.kind), "choices": choices, "usage": self.usage(answers)}

    def chunks(self, piece: Piece) -> list[dict[str, Any]]:
        """Return the chunks of a stream that tell a piece; none if it says nothing."""
        if not (piece.text or piece.finish or (self._tells_logprobs and piece.made)):
            return []
        return [{**self.head(self.chunk), "choices": [each]} for each in self._deltas(piece)]

    def first(self, number: int) -> list[dict[str, Any]]:
        """Return the chunks that come before the first token."""
        return []

    def last(self, answers: Answers) -> dict[str, Any]:
        """Return the chunk that says what a stream has cost."""
        return {**self.head(self.chunk), "choices": [], "usage": self.usage(answers)}

    @abstractmethod
    def _choice(self, text: str, made: Sequence[Made], finish: str) -> dict[str, Any]: ...

    @abstractmethod
    def _deltas(self, piece: Piece) -> list[dict[str, Any]]: ...

    def _token(self, token: int) -> str:
        return self._model.tokenizer.decode([token])


class CompletionForm(Form):
    """A text that was gone on with."""

    prefix, kind, chunk = "cmpl", "text_completion", "text_completion"

    def _choice(self, text: str, made: Sequence[Made], finish: str) -> dict[str, Any]:
        return {"text": text, "logprobs": self._logprobs(made), "finish_reason": finish}

    def _deltas(self, piece: Piece) -> list[dict[str, Any]]:
        told = self._logprobs(piece.made)
        return [
            {
                "index": piece.choice,
                "text": piece.text,
                "logprobs": told,
                "finish_reason": piece.finish,
            }
        ]

    def _logprobs(self, made: Sequence[Made]) -> dict[str, Any] | None:
        if not self._tells_logprobs:
            return None
        best = [{self._token(token): log for token, log in each.likeliest} for each in made]
        return {
            "tokens": [self._token(each.id) for each in made],
            "token_logprobs": [each.log_probability for each in made],
            "top_logprobs": best,
            "text_offset": [],
        }


class ChatForm(Form):
    """A dialogue that was answered."""

    prefix, kind, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(
        self, model: ServedModel, num_prompt_tokens: int, tells_logprobs: bool, has_tools: bool
    ) -> None:
        """Look for calls of tools in the answers if there are any."""
        super().__init__(model, num_prompt_tokens, tells_logprobs)
        self._has_tools = has_tools
        self._held: dict[int, str] = {}

    def first(self, number: int) -> list[dict[str, Any]]:
        """Return the chunks that say who speaks."""
        who = {"role": "assistant", "content": ""}
        return [
            {
                **self.head(self.chunk),
                "choices": [{"index": index, "delta": who, "finish_reason": None}],
            }
            for index in range(number)
        ]

    def _choice(self, text: str, made: Sequence[Made], finish: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self._has_tools:
            said, calls = said_and_called(text)
            if calls:
                message = {"role": "assistant", "content": said or None, "tool_calls": calls}
                finish = "tool_calls"
        return {"message": message, "logprobs": self._logprobs(made), "finish_reason": finish}

    def _deltas(self, piece: Piece) -> list[dict[str, Any]]:
        delta: dict[str, Any] = {"content": piece.text} if piece.text else {}
        finish = piece.finish
        if self._has_tools:  # what may be a call is told when it is whole
            delta, finish = self._with_calls(piece)
            if not (delta or finish or self._tells_logprobs):
                return []
        told = self._logprobs(piece.made)
        return [{"index": piece.choice, "delta": delta, "logprobs": told, "finish_reason": finish}]

    def _with_calls(self, piece: Piece) -> tuple[dict[str, Any], str | None]:
        text = self._held.get(piece.choice, "") + piece.text
        self._held[piece.choice] = text
        if piece.finish is None:
            return {}, None
        said, calls = said_and_called(text)
        if not calls:
            return {"content": text}, piece.finish
        numbered = [{"index": index, **call} for index, call in enumerate(calls)]
        return {"content": said or None, "tool_calls": numbered}, "tool_calls"

    def _logprobs(self, made: Sequence[Made]) -> dict[str, Any] | None:
        if not self._tells_logprobs:
            return None
        rows: list[dict[str, Any]] = []
        for each in made:
            best = [self._row(token, log) for token, log in each.likeliest]
            rows.append({**self._row(each.id, each.log_probability), "top_logprobs": best})
        return {"content": rows, "refusal": None}

    def _row(self, token: int, log: float | None) -> dict[str, Any]:
        text = self._token(token)
        return {"token": text, "logprob": log, "bytes": list(text.encode())}
