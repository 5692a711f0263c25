"""How the next token of an answer is drawn from a model's logits."""

# V = vocabulary

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from components.core.artifacts.base import Frozen


class Sampling(Frozen):
    """How the next token is drawn."""

    max_new_tokens: int = 64
    """Tokens of an answer, at most."""
    temperature: float = Field(default=0.0, ge=0)
    """Logits are divided by it; at 0 the likeliest token is taken."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Drawn from the likeliest tokens whose shares make this sum (Holtzman et al. 2020)."""
    seed: int = Field(default=0, ge=0)
    """Of the draws: the same one gives the same answer."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities that logits (V,) stand for."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def warped(logits: NDArray[np.float32], sampling: Sampling) -> NDArray[np.float32]:
    """Return the share (V,) with which each token is drawn, at a temperature above 0.

    What transformers' `TemperatureLogitsWarper` and `TopPLogitsWarper` make of the logits, for a
    runtime that must not wait for transformers.
    """
    shares = softmax(logits / sampling.temperature)
    if sampling.top_p == 1.0:
        return shares
    rising = np.argsort(shares, kind="stable")
    is_tail = shares[rising].cumsum() <= 1 - sampling.top_p
    is_tail[-1] = False  # rounding must not cut the likeliest one
    shares[rising[is_tail]] = 0.0
    return shares / shares.sum()


def draw(shares: NDArray[np.float32], random: np.random.Generator) -> int:
    """Return a token drawn with these shares (V,)."""
    sums = shares.cumsum(dtype=np.float64)
    return int(np.searchsorted(sums, random.random() * sums[-1], side="right"))
