"""How fast models decode, measured in turns so that a noisy machine treats them alike."""

import statistics
import time
from collections.abc import Sequence

from components.lib.inference.language_model import LanguageModel

NUM_TOKENS = 64
NUM_TURNS = 5


def decode_tokens_per_second(models: Sequence[LanguageModel], prompt: list[int]) -> list[float]:
    """Return the median greedy tokens per second at batch 1 of each model, after a warm-up.

    A turn asks every model for `NUM_TOKENS` tokens; one that ends its answer early is counted by
    the tokens it made.
    """
    seconds_per_token: list[list[float]] = [[] for _ in models]
    for turn in range(NUM_TURNS + 1):
        for model, samples in zip(models, seconds_per_token, strict=True):
            start = time.perf_counter()
            (made,) = model.generate([prompt], NUM_TOKENS)
            if turn > 0:
                samples.append((time.perf_counter() - start) / (len(made) + 1))
    return [1 / statistics.median(samples) for samples in seconds_per_token]
