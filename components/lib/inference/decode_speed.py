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
    """Greedy, at batch 1, the reading of the prompt included."""
    first_token_seconds: float
    """From a prompt to the first token of its answer."""
    cpu_seconds_per_token: float
    """Of all threads of this process, while it decodes."""


class _Turn(NamedTuple):
    seconds_per_token: float
    first_token_seconds: float
    cpu_seconds_per_token: float


def decode_tokens_per_second(models: Sequence[LanguageModel], prompt: list[int]) -> list[float]:
    """Return the median greedy tokens per second at batch 1 of each model, after a warm-up."""
    return [found.decode_tokens_per_second for found in speeds(models, prompt)]


def speeds(models: Sequence[LanguageModel], prompt: list[int]) -> list[Speed]:
    """Return how fast each model answers `prompt`, medians after a warm-up.

    A turn asks every model for one token and then for `NUM_TOKENS`; one that ends its answer early
    is counted by the tokens it made.
    """
    samples: list[list[_Turn]] = [[] for _ in models]
    for turn in range(NUM_TURNS + 1):
        for model, of_model in zip(models, samples, strict=True):
            measured = _turn(model, prompt)
            if turn > 0:
                of_model.append(measured)
    return [_median(of_model) for of_model in samples]


def _turn(model: LanguageModel, prompt: list[int]) -> _Turn:
    start = time.perf_counter()
    model.generate([prompt], 1)
    first = time.perf_counter() - start
    start, worked = time.perf_counter(), time.process_time()
    (made,) = model.generate([prompt], NUM_TOKENS)
    number = len(made) + 1
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    return _Turn(seconds / number, first, worked / number)


def _median(turns: list[_Turn]) -> Speed:
    seconds, first, worked = (statistics.median(column) for column in zip(*turns, strict=True))
    return Speed(1 / seconds, first, worked)
