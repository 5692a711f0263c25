"""Decisions among choices, and by what margin they fall: where compression does its harm first.

A choice is scored by the nats of its tokens after the prompt. Accuracy moves when a margin changes
its sign, so margins tell of damage that accuracy does not show yet.
"""

# B = choices at once, T = tokens of the longest of them

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.held_out import Scorer

_ITEMS_AT_ONCE = 8


class Item(NamedTuple):
    """A prompt with choices, as token ids."""

    prompt: list[int]
    choices: tuple[list[int], ...]
    """At least two, none of them empty."""


class Decisions(NamedTuple):
    """How decisions fall, against an original."""

    margin_kept: float
    """Mean margin of the original's choice over the best other one, as a share of its own."""
    decisions_flipped: float
    """Share of items where another choice is the likeliest."""


def scores(model: Scorer, items: Sequence[Item]) -> list[NDArray[np.float64]]:
    """Return ln p of each choice after its prompt, for each item."""
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(items), _ITEMS_AT_ONCE):
        some = items[start : start + _ITEMS_AT_ONCE]
        nats = _nats(model, [(item.prompt, choice) for item in some for choice in item.choices])
        ends = np.cumsum([len(item.choices) for item in some])[:-1]
        found += np.split(-nats, ends)
    return found


def decisions(
    original: Sequence[NDArray[np.float64]], other: Sequence[NDArray[np.float64]]
) -> Decisions:
    """Hold the `scores` of another model against the original's, item by item.

    Raises:
        ValueError: there is no item.
    """
    if not original:
        raise ValueError("There is no item with choices to decide among: hold out more of them.")
    chosen = [int(each.argmax()) for each in original]
    before = [_margin(each, choice) for each, choice in zip(original, chosen, strict=True)]
    after = [_margin(each, choice) for each, choice in zip(other, chosen, strict=True)]
    kept = float(np.sum(after) / np.sum(before)) if np.sum(before) else 1.0
    flipped = np.mean([int(each.argmax()) != c for each, c in zip(other, chosen, strict=True)])
    return Decisions(kept if np.isfinite(kept) else float("-inf"), float(flipped))


def _margin(scored: NDArray[np.float64], choice: int) -> float:
    return float(scored[choice] - np.delete(scored, choice).max())


def _nats(model: Scorer, pairs: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float64]:
    """Return the nats of each choice: padded on the right, which causal models do not see."""
    width = max(len(prompt) + len(choice) for prompt, choice in pairs)
    ids = np.zeros((len(pairs), width), np.int64)
    is_choice = np.zeros((len(pairs), width - 1), bool)  # of targets
    for row, (prompt, choice) in enumerate(pairs):
        ids[row, : len(prompt) + len(choice)] = [*prompt, *choice]
        is_choice[row, len(prompt) - 1 : len(prompt) + len(choice) - 1] = True
    return np.where(is_choice, model.negative_log_likelihood(ids), 0).sum(1, dtype=np.float64)
