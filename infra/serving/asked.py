"""What a request asks of a model: its prompts as tokens, how to draw, and how long."""

import json
import random
from collections.abc import Sequence
from typing import Any, cast

from components.lib.inference.generation import Wanted
from components.lib.inference.sampling import Sampling
from infra.serving.models import ServedModel
from infra.serving.options import Limits
from infra.serving.protocol import ChatRequest, CompletionRequest
from infra.serving.refusals import Refusal

_TOO_LONG = "context_length_exceeded"


def of_completion(asked: CompletionRequest, model: ServedModel, limits: Limits) -> list[Wanted]:
    """Return the answers that a completion asks for, `n` for each prompt in turn.

    Raises:
        Refusal: a prompt is empty, too long, or of another vocabulary; or they are too many.
    """
    texts = asked.prompts()
    _check_number(len(texts) * asked.n, limits)
    read = model.tokenizer.encode_text
    prompts = [read(text) if isinstance(text, str) else text for text in texts]
    return _wanted(asked, prompts, asked.max_tokens, asked.logprobs, frozenset(), (model, limits))


def of_chat(asked: ChatRequest, model: ServedModel, limits: Limits) -> list[Wanted]:
    """Return the answers that a dialogue asks for.

    Raises:
        Refusal: the template refuses the messages, or they are too long, or the answers too many.
    """
    _check_number(asked.n, limits)
    schema = _schema(asked, model)
    messages = [message.for_template() for message in asked.messages]
    try:
        prompt = model.tokenizer.encode_messages(messages, asked.schemas())
    except ValueError as error:
        raise Refusal(400, str(error), "invalid_messages", "messages") from None
    number = asked.max_completion_tokens or asked.max_tokens
    likeliest = asked.top_logprobs if asked.logprobs else None
    end = model.tokenizer.answer_end
    ends = frozenset() if end is None else frozenset([end])
    wanted = _wanted(asked, [prompt], number, likeliest, ends, (model, limits))
    return wanted if schema is None else [each._replace(schema=schema) for each in wanted]


def _schema(asked: ChatRequest, model: ServedModel) -> str | None:
    """Return the JSON schema that answers must hold to, if there is one."""
    form = asked.response_format
    if form.type == "text":
        return None
    if not model.engine.has_grammar:
        raise Refusal(
            400,
            f"response_format {form.type!r} needs a grammar, which the runtime of "
            f"{model.found.name} does not have: serve it as a .gguf file.",
            "unsupported_response_format",
            "response_format",
        )
    if form.type == "json_object":
        return '{"type": "object"}'
    schema = (form.json_schema or {}).get("schema")
    if not isinstance(schema, dict):
        raise Refusal(400, "response_format has no json_schema.schema.", param="response_format")
    _check_schema(cast("dict[str, Any]", schema))
    return json.dumps(schema)


def _check_schema(schema: dict[str, Any]) -> None:
    """Refuse what is no schema: llama.cpp would read over it, and hold the answer to nothing."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        message = f"response_format.json_schema.schema is no JSON schema: {error.message}."
        raise Refusal(400, message, "invalid_schema", "response_format") from None


def _wanted(
    asked: CompletionRequest | ChatRequest,
    prompts: Sequence[list[int]],
    number: int | None,
    likeliest: int | None,
    ends: frozenset[int],
    at: tuple[ServedModel, Limits],
) -> list[Wanted]:
    model, limits = at
    most = min(number or limits.default_new_tokens, limits.max_new_tokens)
    seed = random.getrandbits(62) if asked.seed is None else asked.seed % 2**62
    wanted: list[Wanted] = []
    for prompt in prompts:
        _check_prompt(model, prompt, number)
        for choice in range(asked.n):
            drawn: dict[str, Any] = {"temperature": asked.temperature, "top_p": asked.top_p}
            sampling = Sampling(max_new_tokens=most, seed=seed + choice, **drawn)
            wanted.append(Wanted(prompt, sampling, likeliest, ends, asked.ignore_eos))
    return wanted


def _check_prompt(model: ServedModel, prompt: list[int], number: int | None) -> None:
    try:
        model.engine.model.check(prompt, number or 1)
    except ValueError as error:
        is_long = len(prompt) + (number or 1) > model.engine.model.context_length
        raise Refusal(400, str(error), _TOO_LONG if is_long else "invalid_prompt") from None


def _check_number(number: int, limits: Limits) -> None:
    if number > limits.max_choices:
        raise Refusal(
            400, f"{number} answers are asked for at once: ask for {limits.max_choices} at most."
        )
    if number == 0:
        raise Refusal(400, "There is no prompt.", "invalid_prompt", "prompt")
