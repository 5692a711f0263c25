"""How far two models agree on a text: the divergence of what they expect, and what they say."""

# B = sequences, T = tokens of a sequence, V = vocabulary

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.language_model import LanguageModel


class Divergence(NamedTuple):
    """What is different between two models on the same text."""

    divergence: float
    """Mean nats of KL(original || other) of a next token."""
    flipped: float
    """Share of places where another token is the likeliest."""


def divergence(
    original: LanguageModel, other: LanguageModel, rows: NDArray[np.int64]
) -> Divergence:
    """Return how far `other` agrees with `original` after each token of `rows` (B, T).

    A divergence that is no number counts as infinite: a model that computes none is broken.

    Raises:
        ValueError: there is no text, the vocabularies differ, or what `logits` raises.
    """
    if not rows.size:
        raise ValueError("There is no text to compare two models on: hold out more of it.")
    if original.vocab_size != other.vocab_size:
        raise ValueError(
            f"The vocabularies have {original.vocab_size} and {other.vocab_size} tokens: models "
            "are compared token by token, so both must have the same."
        )
    nats, flips = 0.0, 0
    for row in rows[:, None]:  # (1, T): logits of one sequence at once
        expected, found = (log_softmax(model.logits(row)) for model in (original, other))
        nats += float((np.exp(expected) * (expected - found)).sum(dtype=np.float64))
        flips += int((expected.argmax(-1) != found.argmax(-1)).sum())
    mean = nats / rows.size
    return Divergence(mean if np.isfinite(mean) else float("inf"), flips / rows.size)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ln p over the last axis, shifted by the maximum so that float32 does not overflow."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
