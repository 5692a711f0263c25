"""llama.cpp's server asked as its users ask it: does it frame a dialogue as the model was taught.

Its interpreter of chat templates is one of its own, so what it makes of a template is seen only by
asking it.
"""

import importlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lib.text.chat import beginning, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CONTEXT = 512  # more than the dialogues below take in any template
_DIALOGUES = (
    [("user", "What is 2 + 3?")],
    [("user", "Sort: b a"), ("assistant", "a b"), ("user", " And <c> 'd'?\nNow. ")],
    [("system", "Be brief."), ("user", "Hi")],
)
Messages = list[dict[str, str]]


def check_template(file: Path, tokenizer: "PreTrainedTokenizerFast") -> None:
    """Check that llama.cpp asks in the same tokens as `tokenizer` does.

    Raises:
        ValueError: it does not.
    """
    server = _server(file)
    for messages, ours in _asked(tokenizer):
        theirs, number = _prompt_of(server, messages)
        expected = len(beginning(tokenizer)) + len(tokenizer.encode(ours, add_special_tokens=False))
        if (theirs, number) != (ours, expected):
            raise ValueError(
                f"llama.cpp frames {messages} as {theirs!r} ({number} tokens), and the chat "
                f"template as {ours!r} ({expected}). Take a plainer template, or export to ONNX."
            )


def _asked(tokenizer: "PreTrainedTokenizerFast") -> Iterator[tuple[Messages, str]]:
    """Yield dialogues that the template takes, and their text without what stands before all."""
    before = tokenizer.decode(beginning(tokenizer))
    assert isinstance(before, str)
    for number, dialogue in enumerate(_DIALOGUES):
        messages = [{"role": role, "content": content} for role, content in dialogue]
        try:
            yield messages, render(tokenizer, messages, is_open=True).removeprefix(before)
        except ValueError:
            if number == 0:  # any template takes a question; not all take a system message
                raise


def _server(file: Path) -> Any:
    llama: Any = importlib.import_module("xllamacpp")
    parameters = llama.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx, parameters.n_parallel = _CONTEXT, 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.hostnames, parameters.port, parameters.n_threads_http = ["127.0.0.1"], 0, 1
    parameters.api_keys = [secrets.token_hex()]  # it listens; nobody else is to ask it
    parameters.ui = parameters.warmup = parameters.fit_params = False
    parameters.verbosity = 0
    try:
        return llama.Server(parameters)
    except RuntimeError as error:
        raise ValueError(f"llama.cpp's server does not take {file} ({error}).") from error


def _prompt_of(server: Any, messages: Messages) -> tuple[str, int]:
    """Return the text that the server makes of messages, and its tokens."""
    request = {"messages": messages, "max_tokens": 1, "temperature": 0, "verbose": True}
    answer = server.handle_chat_completions(request)
    if "error" in answer or "__verbose" not in answer:
        raise ValueError(f"llama.cpp's server refuses {messages}: {answer.get('error', answer)}.")
    found = answer["__verbose"]
    return found["prompt"], found["tokens_evaluated"]
