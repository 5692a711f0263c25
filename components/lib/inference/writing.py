"""Answers that a model writes while it learns: a pure function of its weights and given numbers."""

# B = prompts, T = tokens of an answer at most, V = vocabulary

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.generation.logits_process import LogitsProcessor

from components.lib.device import autocast, put
from components.lib.examples.permutation import random_words

_TO_SHARES = 2.0**-53  # of the upper bits of a word


class WritingOptions(NamedTuple):
    """How answers are written."""

    max_new_tokens: int
    """Tokens of an answer, its end included, at most."""
    temperature: float
    """Logits are divided by it."""
    end_ids: frozenset[int]
    """Tokens that end an answer; they belong to it."""
    padding: int
    """Token that fills a batch up."""


def uniform(keys: NDArray[np.int64], number: int, seed: int) -> NDArray[np.float64]:
    """Return `number` numbers from 0 to 1 for each of the keys (B,): a pure function of both."""
    counters = keys[:, None] * np.int64(1 << 20) + np.arange(number)
    words = random_words(counters, seed) >> np.uint64(11)
    return words.astype(np.float64) * _TO_SHARES


@torch.no_grad()
def write(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    numbers: NDArray[np.float64],
    options: WritingOptions,
) -> list[list[int]]:
    """Return an answer to each prompt, drawn by the given numbers, (B, T), one a token.

    A token is the one in whose share the number falls, tokens in the order of their ids. So an
    answer is the same whatever else is in the batch, but for rounding.
    """
    width = max(map(len, prompts))
    ids = np.full((len(prompts), width), options.padding)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = prompt, 1
    config = GenerationConfig(
        max_new_tokens=options.max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(options.end_ids) or None,
        pad_token_id=options.padding,
    )
    drawn = LogitsProcessorList([_ByNumbers(put(numbers), width, options.temperature)])
    was_training = model.training
    call: Any = model.eval()
    try:
        with autocast():
            made: Tensor = call.generate(
                inputs=put(ids),
                attention_mask=put(mask),
                generation_config=config,
                logits_processor=drawn,
            )
    finally:
        model.train(was_training)
    return [_whole(row, options.end_ids) for row in made[:, width:].tolist()]


class _ByNumbers(LogitsProcessor):
    """Leaves of each distribution the one token that a number picks."""

    def __init__(self, numbers: Tensor, width: int, temperature: float) -> None:
        """Pick with a column of `numbers` (B, T) for each token after the first `width`."""
        self._numbers, self._width, self._temperature = numbers, width, temperature

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return logits (B, V) that let one token through."""
        number = self._numbers[:, input_ids.shape[1] - self._width, None]
        sums = (scores.double() / self._temperature).softmax(1).cumsum(1)
        picked = torch.searchsorted(sums, number * sums[:, -1:], right=True)
        picked = picked.clamp(max=scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(1, picked, 0.0)


def _whole(ids: list[int], ends: frozenset[int]) -> list[int]:
    """Return an answer up to its end, which belongs to it."""
    end = next((place for place, token in enumerate(ids) if token in ends), len(ids) - 1)
    return ids[: end + 1]
