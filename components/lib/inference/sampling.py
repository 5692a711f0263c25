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
    tail = 1 - sampling.top_p
    # so small a share is in the tail whatever the others are: few are left to be sorted
    is_small = shares <= tail / len(shares)
    is_small[shares.argmax()] = False  # rounding must not cut the likeliest one
    (others,) = np.nonzero(~is_small)
    rising = others[np.argsort(shares[others], kind="stable")]
    sums = shares[is_small].sum() + shares[rising].cumsum()
    shares[is_small] = 0.0
    shares[rising[:-1][sums[:-1] <= tail]] = 0.0
    return shares / shares.sum()


def draw(shares: NDArray[np.float32], random: np.random.Generator) -> int:
    """Return a token drawn with these shares (V,)."""
    sums = shares.cumsum(dtype=np.float64)
    return int(np.searchsorted(sums, random.random() * sums[-1], side="right"))


def choose(
    logits: NDArray[np.float32], likeliest: int, sampling: Sampling, random: np.random.Generator
) -> int:
    """Return the next token, of which `likeliest` is the one of the highest logit (V,)."""
    if sampling.temperature == 0:
        return likeliest
    return draw(warped(logits, sampling), random)


def log_probabilities(
    logits: NDArray[np.float32], token: int, number: int
) -> tuple[float, tuple[tuple[int, float], ...]]:
    """Return the log probability of a token, and the `number` likeliest ones with theirs."""
    top = logits.max()
    logs = logits - (top + np.log(np.exp(logits - top).sum()))  # (V,)
    number = min(number, len(logs))
    best = np.argpartition(-logs, number - 1)[:number] if number else np.empty(0, np.int64)
    ranked = best[np.argsort(-logs[best], kind="stable")].tolist()
    return float(logs[token]), tuple((each, float(logs[each])) for each in ranked)
