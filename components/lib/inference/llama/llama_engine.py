"""A GGUF file behind the interface of engines: llama.cpp's own server, inside this process.

It batches continuously by itself, and can hold an answer to a JSON schema. Its answers are not
those of the int8 export, nor is a greedy one the same alone and among others: its kernels differ
by the size of the batch.
"""

import importlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.generation import (
    Ended,
    Engine,
    Event,
    Failed,
    Generation,
    Load,
    Made,
    Wanted,
)
from components.lib.inference.language_model import LanguageModel, Reading

_MOST_WAITING = 64  # requests that wait inside: more wait in this engine's own queue


class LlamaEngine(Engine):
    """Answers by a GGUF file."""

    has_grammar = True

    def __init__(
        self, file: Path, num_slots: int, num_threads: int, sizes: tuple[int, int]
    ) -> None:
        """Load a file; each slot has room for `sizes[0]` tokens of a vocabulary of `sizes[1]`.

        Raises:
            ValueError: xllamacpp is not installed, or the file does not load.
        """
        self._server, self._url = _server(file, num_slots, num_threads, sizes[0])
        self.model = _Sizes(*sizes, frozenset())  # it knows its own ends
        self._num_slots = num_slots
        self._pool = ThreadPoolExecutor(num_slots + _MOST_WAITING, "llama")
        self._lock = threading.Lock()
        self._open = set[_Request]()
        self._is_closed = False
        self._tokens_read = self._tokens_made = 0

    def submit(self, wanted: Wanted, receive: Callable[[Event], None]) -> Generation:
        """Begin an answer, as soon as there is a slot for it."""
        self.model.check(wanted.prompt, 1)
        room = self.model.context_length - len(wanted.prompt)
        number = min(wanted.sampling.max_new_tokens, room)
        request = _Request(receive)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The engine is closed.")
            self._open.add(request)
        self._pool.submit(self._answer, request, wanted, number)
        return request

    def load(self) -> Load:
        """Return what it does at this moment."""
        with self._lock:
            number = len(self._open)
            done = self._tokens_read, self._tokens_made, self._tokens_made
        running = min(number, self._num_slots)
        return Load(running, number - running, self._num_slots, *done)

    def close(self) -> None:
        """End all answers with `Failed`, and free the memory."""
        with self._lock:
            self._is_closed = True
            for request in self._open:
                request.cancel()
        self._pool.shutdown(wait=True)
        self._server = None

    def _answer(self, request: "_Request", wanted: Wanted, number: int) -> None:
        event: Event
        try:
            event = self._told(request, wanted, _body(wanted, number))
        except Exception as error:  # of the connection, or what the server refuses
            event = Failed(f"The model failed: {error}")
        with self._lock:
            self._open.discard(request)
            closed = self._is_closed and event == Ended("cancelled")
        request.tell(Failed("The engine was closed.") if closed else event)

    def _told(self, request: "_Request", wanted: Wanted, body: dict[str, Any]) -> Event:
        """Tell the tokens of an answer as they come; return how it ended."""
        import httpx

        if request.is_cancelled:
            return Ended("cancelled")
        with (
            httpx.Client(timeout=None, trust_env=False) as client,
            client.stream("POST", f"{self._url}/completion", json=body) as reply,
        ):
            if reply.status_code != 200:
                said = reply.read().decode(errors="replace")
                return Failed(f"llama.cpp refuses the request: {said[:300]}")
            self._tokens_read += len(wanted.prompt)
            for chunk in _chunks(reply.iter_lines()):
                if request.is_cancelled:
                    return Ended("cancelled")  # closing the connection frees the slot
                for made in _made(chunk, wanted):
                    if made.id in wanted.ends and not wanted.ignores_ends:
                        return Ended("stop")
                    self._tokens_made += 1
                    request.tell(made)
                if chunk.get("stop"):
                    return Ended("length" if chunk.get("stop_type") == "limit" else "stop")
        return Failed("llama.cpp broke the answer off.")


class _Request(Generation):
    """An answer in the making."""

    def __init__(self, receive: Callable[[Event], None]) -> None:
        self.is_cancelled = False
        self._receive = receive

    def cancel(self) -> None:
        self.is_cancelled = True

    def tell(self, event: Event) -> None:
        try:
            self._receive(event)
        except Exception:  # whoever asked is gone
            self.is_cancelled = True


class _Sizes(LanguageModel):
    """What checks a prompt; llama.cpp does the rest."""

    def _generate(self, prompts: list[list[int]], max_new_tokens: int) -> NoReturn:
        raise NotImplementedError("use the engine")

    def _nats(self, ids: NDArray[np.int64]) -> NoReturn:
        raise NotImplementedError("llama.cpp scores no text")

    def _logits(self, ids: NDArray[np.int64]) -> NoReturn:
        raise NotImplementedError("llama.cpp's server gives no logits")

    def _reading(self, num_tokens: int) -> Reading:
        raise NotImplementedError("use the engine")


def _server(file: Path, num_slots: int, num_threads: int, room: int) -> tuple[Any, str]:
    try:
        llama: Any = importlib.import_module("xllamacpp")
    except ImportError as error:
        raise ValueError(f"Serving {file.name} takes xllamacpp: pip install xllamacpp") from error
    params = llama.CommonParams()
    params.model.path, params.port, params.verbosity = str(file), 0, 0
    params.n_parallel, params.n_ctx = num_slots, num_slots * room
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = num_threads
    try:
        server = llama.Server(params)
    except Exception as error:  # of a damaged file it passes on what its parser says
        raise ValueError(f"llama.cpp does not load {file} ({error}): fetch it again.") from error
    return server, server.listening_address


def _body(wanted: Wanted, number: int) -> dict[str, Any]:
    """Return a request of llama.cpp's own API; all that warps probabilities by itself is off."""
    sampling = wanted.sampling
    body: dict[str, Any] = {
        "prompt": wanted.prompt,
        "n_predict": number,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "seed": sampling.seed % 2**32,
        "stream": True,
        "return_tokens": True,
        "ignore_eos": wanted.ignores_ends,
    }
    if wanted.num_likeliest is not None:
        body["n_probs"] = max(1, wanted.num_likeliest)
    if wanted.schema is not None:
        body["json_schema"] = json.loads(wanted.schema)
    return body


def _chunks(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
        elif line.startswith("error: "):
            raise RuntimeError(line)


def _made(chunk: dict[str, Any], wanted: Wanted) -> Iterator[Made]:
    """Yield the token of a chunk, with its text.

    Of several tokens that spell one character llama.cpp tells the last alone, so the text is the
    truth, and such a character counts as one token.
    """
    if not chunk["tokens"]:
        return
    token, text = chunk["tokens"][-1], chunk["content"]
    told = chunk.get("completion_probabilities") or []
    if wanted.num_likeliest is None or not told:
        yield Made(token, text=text)
        return
    last = told[-1]
    best = tuple((top["id"], top["logprob"]) for top in last["top_logprobs"])
    yield Made(token, last["logprob"], best[: wanted.num_likeliest], text)
