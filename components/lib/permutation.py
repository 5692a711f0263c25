"""Chance without memory: a keyed permutation of 0..size-1 for the order of the data, and words.

A balanced Feistel network over the smallest even-bit domain that holds `size`, walked until it
lands inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", method 3). Position
p of epoch e is a pure function of (seed, e, p), so a resumed run and any number of workers see the
same order. An affine map would not do: on sorted data its stride shows in the loss (marin#1685).
"""

import numpy as np
from numpy.typing import NDArray

_NUM_ROUNDS = 6


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit words (SplitMix64's finalizer, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def random_words(counters: NDArray[np.int64], key: int) -> NDArray[np.uint64]:
    """Return 64 random bits for each counter: a pure function of it and the key; same shape."""
    step = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's, so that near counters and keys lie apart
    start = _mix(np.array([key % (1 << 64)], np.uint64) * step)
    return _mix(_mix(counters.astype(np.uint64) * step + start))


def permute(positions: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return where each position of 0..size-1 is sent; same shape as `positions`."""
    assert size > 0, size
    half = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    rounds = np.arange(1, _NUM_ROUNDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    keys = _mix(rounds ^ _mix(np.array([seed % (1 << 64)], np.uint64)))

    def encrypt(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = value >> half, value & mask
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return (left << half) | right

    value = encrypt(positions.astype(np.uint64))
    while (outside := value >= size).any():
        value = np.where(outside, encrypt(value), value)
    return value.astype(np.int64)


def draw(step: int, batch_size: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return which of `size` examples step `step` (from 0) trains on, shape (batch_size,).

    Every epoch has an order of its own; a batch may span two epochs.
    """
    positions = step * batch_size + np.arange(batch_size, dtype=np.int64)
    epochs, within = np.divmod(positions, size)
    batch = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        batch[chosen] = permute(within[chosen], size, seed * 1_000_003 + int(epoch))
    return batch
