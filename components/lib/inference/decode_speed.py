"""How fast models decode, measured in turns so that a noisy machine treats them alike."""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from components.lib.inference.language_model import LanguageModel

NUM_TOKENS = 64
NUM_TURNS = 5


class Speed(NamedTuple):
    """Medians of one model."""

    decode_tokens_per_second: float
    """Greedy, at batch 1, after the first token."""
    first_token_seconds: float
    """From a prompt to the first token of its answer."""
    cpu_seconds_per_token: float
    """Of all threads of this process, for a whole answer."""


class _Turn(NamedTuple):
    first_seconds: float
    seconds: float
    cpu_seconds: float
    num_tokens: int
    """Of the answer, its end included."""


def decode_tokens_per_second(models: Sequence[LanguageModel], prompt: list[int]) -> list[float]:
    """Return the median greedy tokens per second at batch 1 of each model, after a warm-up."""
    return [found.decode_tokens_per_second for found in speeds(models, prompt)]


def speeds(models: Sequence[LanguageModel], prompt: list[int]) -> list[Speed]:
    """Return how fast each model answers `prompt`, medians after a warm-up.

    A turn asks every model for one token and then for `NUM_TOKENS`: what both take, such as reading
    the prompt, is no decoding. A model that ends its answer early is counted by what it made.
    """
    samples: list[list[_Turn]] = [[] for _ in models]
    for turn in range(NUM_TURNS + 1):
        for model, of_model in zip(models, samples, strict=True):
            measured = _turn(model, prompt)
            if turn > 0:
                of_model.append(measured)
    return [_speed(of_model) for of_model in samples]


def _turn(model: LanguageModel, prompt: list[int]) -> _Turn:
    start = time.perf_counter()
    model.generate([prompt], 1)
    first = time.perf_counter() - start
    start, worked = time.perf_counter(), time.process_time()
    (made,) = model.generate([prompt], NUM_TOKENS)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    return _Turn(first, seconds, worked, min(len(made) + 1, NUM_TOKENS))


def _speed(turns: list[_Turn]) -> Speed:
    first, seconds, worked, number = (statistics.median(each) for each in zip(*turns, strict=True))
    decoding = (seconds - first) / (number - 1) if number > 1 and seconds > first else seconds
    return Speed(1 / decoding, first, worked / number)
