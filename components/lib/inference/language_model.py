"""A language model as measurements, commands and pages use it, whichever runtime computes it.

The checks stand here once: every runtime refuses the same input in the same words.
"""

# B = sequences, T = tokens of a sequence, V = vocabulary

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.sampling import Sampling, draw, softmax, warped


class Reading(Protocol):
    """One text being read. Keys and values are kept, so that no token is read twice."""

    def read(self, ids: list[int]) -> NDArray[np.float32]:
        """Read on, and return the logits (V,) of the token after the last one."""
        ...


class Drawn(NamedTuple):
    """A token of an answer."""

    id: int
    """In the vocabulary."""
    probabilities: NDArray[np.float32]
    """Of every token in its place, (V,), before temperature and top-p."""


class LanguageModel(ABC):
    """A model that scores token ids and continues them."""

    def __init__(self, context_length: int, vocab_size: int, end_ids: frozenset[int]) -> None:
        """Keep the sizes that all input is checked against."""
        self.context_length = context_length
        self.vocab_size = vocab_size
        self.end_ids = end_ids

    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Return the greedy continuation of each prompt, without the end-of-text token.

        Raises:
            ValueError: a prompt is empty, has an id outside the vocabulary, or does not fit the
                context together with what is asked for.
        """
        for prompt in prompts:
            self.check(prompt, max_new_tokens)
        return self._generate(prompts, max_new_tokens)

    def stream(self, prompt: list[int], sampling: Sampling) -> Iterator[Drawn]:
        """Yield the tokens after a prompt one by one, without the end-of-text token.

        Stops where the context is full.

        Raises:
            ValueError: the prompt is empty, has an id outside the vocabulary, or leaves no room.
        """
        _check_number(sampling.max_new_tokens)
        self.check(prompt, 1)
        room = self.context_length - len(prompt)
        return self._stream(prompt, sampling, min(sampling.max_new_tokens, room))

    def next_token_probabilities(self, ids: list[int], num_tokens: int) -> list[tuple[int, float]]:
        """Return the `num_tokens` likeliest next tokens and their probabilities, best first."""
        if not 1 <= num_tokens <= self.vocab_size:
            raise ValueError(
                f"num_tokens is {num_tokens}: ask for 1 to {self.vocab_size}, the whole vocabulary."
            )
        _check_not_empty(ids)
        self._check_length(len(ids))
        self._check_ids(np.asarray(ids, np.int64))
        return likeliest(softmax(self._reading(len(ids)).read(ids)), num_tokens)

    def negative_log_likelihood(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the nats of each target of `ids` (B, T + 1), shape (B, T).

        Raises:
            ValueError: `ids` have another shape, an id outside the vocabulary, or more tokens than
                the context holds.
        """
        if ids.ndim != 2 or ids.shape[1] < 2:
            raise ValueError(f"ids have shape {ids.shape}: give (sequences, at least 2 tokens).")
        self._check_length(ids.shape[1] - 1)
        self._check_ids(ids)
        return self._nats(ids)

    def logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the model holds of the token after each of `ids` (B, T), shape (B, T, V).

        In float32 wherever the runtime computes in it, so that two models can be held against each
        other.

        Raises:
            ValueError: as `negative_log_likelihood` does.
        """
        if ids.ndim != 2 or ids.shape[1] < 1:
            raise ValueError(f"ids have shape {ids.shape}: give (sequences, at least 1 token).")
        self._check_length(ids.shape[1])
        self._check_ids(ids)
        return self._logits(ids)

    def check(self, prompt: list[int], max_new_tokens: int) -> None:
        """Raise ValueError unless `max_new_tokens` can follow `prompt`."""
        _check_number(max_new_tokens)
        _check_not_empty(prompt)
        self._check_ids(np.asarray(prompt, np.int64))
        context, room = self.context_length, self.context_length - len(prompt)
        if room < 1:
            raise ValueError(
                f"A prompt of {len(prompt)} tokens leaves no room in a context of {context}: "
                f"shorten it to {context - 1} tokens at most."
            )
        if max_new_tokens > room:
            raise ValueError(
                f"A prompt of {len(prompt)} tokens and {max_new_tokens} new ones do not fit a "
                f"context of {context}: shorten the prompt, or ask for {room} new ones at most."
            )

    def shares(self, logits: NDArray[np.float32], sampling: Sampling) -> NDArray[np.float32]:
        """Return the share (V,) with which each token is drawn, at a temperature above 0."""
        return warped(logits, sampling)

    @abstractmethod
    def _generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Return the greedy continuations of prompts that were checked."""

    @abstractmethod
    def _nats(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the nats (B, T) of ids (B, T + 1) that were checked."""

    @abstractmethod
    def _logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits (B, T, V) of ids (B, T) that were checked."""

    @abstractmethod
    def _reading(self, num_tokens: int) -> Reading:
        """Begin to read a text of at most `num_tokens`."""

    def _stream(self, prompt: list[int], sampling: Sampling, number: int) -> Iterator[Drawn]:
        random = np.random.default_rng(sampling.seed)
        reading, unread = self._reading(len(prompt) + number), prompt
        for _ in range(number):
            logits = reading.read(unread)
            if sampling.temperature == 0:
                token = int(logits.argmax())
            else:
                token = draw(self.shares(logits, sampling), random)
            if token in self.end_ids:
                return
            yield Drawn(token, softmax(logits))
            unread = [token]

    def _check_length(self, num_tokens: int) -> None:
        if num_tokens > self.context_length:
            raise ValueError(
                f"{num_tokens} tokens do not fit a context of {self.context_length}: "
                "shorten the text."
            )

    def _check_ids(self, ids: NDArray[np.int64]) -> None:
        """Refuse what the runtimes do not: they read a negative id from the table's end."""
        outside = ids[(ids < 0) | (ids >= self.vocab_size)]
        if outside.size:
            raise ValueError(
                f"Token {outside[0]} is outside the vocabulary, 0 to {self.vocab_size - 1}: "
                "encode the text with this model's own tokenizer."
            )


def likeliest(probabilities: NDArray[np.float32], num_tokens: int) -> list[tuple[int, float]]:
    """Return the `num_tokens` tokens of the highest probability (V,), the best first."""
    best = np.argsort(-probabilities, kind="stable")[:num_tokens]
    return [(int(token), float(probabilities[token])) for token in best]


def _check_not_empty(prompt: list[int]) -> None:
    if not prompt:
        raise ValueError("A prompt is empty: give the model something to go on from.")


def _check_number(max_new_tokens: int) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: ask for at least 1.")
