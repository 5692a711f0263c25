"""Stateless randomness: a keyed permutation of 0..size-1 as the order of the data, and words.

A balanced Feistel network over the smallest even-bit domain that holds `size`, walked until it
lands inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", method 3). Position
p of epoch e is a pure function of (seed, e, p), so a resumed run and any number of workers see the
same order. An affine map would not do: on sorted data its stride shows in the loss (marin#1685).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_NUM_ROUNDS = 6


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit words (SplitMix64's finalizer, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


class _Feistel:
    """The cipher under the permutation: a bijection of 0..4^h-1, the least that covers `size`."""

    def __init__(self, size: int, seed: int) -> None:
        assert size > 0, size
        self._half = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
        self._mask = (np.uint64(1) << self._half) - np.uint64(1)
        rounds = np.arange(1, _NUM_ROUNDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        self._keys = _mix(rounds ^ _mix(np.array([seed % (1 << 64)], np.uint64)))

    def encrypt(self, value: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = value >> self._half, value & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & self._mask)
        return (left << self._half) | right

    def decrypt(self, value: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = value >> self._half, value & self._mask
        for key in self._keys[::-1]:
            left, right = right ^ (_mix(left ^ key) & self._mask), left
        return (left << self._half) | right


def _walk(
    cipher: Callable[[NDArray[np.uint64]], NDArray[np.uint64]], start: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Apply `cipher` until every value is below `size`."""
    value = cipher(start.astype(np.uint64))
    while (outside := value >= size).any():
        value[outside] = cipher(value[outside])
    return value.astype(np.int64)


def random_words(counters: NDArray[np.int64], key: int) -> NDArray[np.uint64]:
    """Return 64 random bits for each counter: a pure function of it and the key; same shape."""
    step = np.uint64(
        0x9E3779B97F4A7C15
    )  # SplitMix64's, so that near counters and keys end up far apart
    start = _mix(np.array([key % (1 << 64)], np.uint64) * step)
    return _mix(_mix(counters.astype(np.uint64) * step + start))


def permute(positions: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return where each position of 0..size-1 is sent; same shape as `positions`."""
    return _walk(_Feistel(size, seed).encrypt, positions, size)


def invert(images: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return the position that `permute` sends to each of `images`; same shape."""
    return _walk(_Feistel(size, seed).decrypt, images, size)


def examples_at(positions: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return which of `size` examples stands at each position of the endless order, (n,).

    Position p is place p % size of epoch p // size; every epoch has an order of its own.
    """
    epochs, within = np.divmod(positions, size)
    found = np.empty_like(positions)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        found[chosen] = permute(within[chosen], size, _epoch_seed(seed, int(epoch)))
    return found


def draw(step: int, batch_size: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return which of `size` examples step `step` (from 0) trains on, shape (batch_size,).

    Every epoch has an order of its own; a batch may span two epochs.
    """
    positions = step * batch_size + np.arange(batch_size, dtype=np.int64)
    return examples_at(positions, size, seed)


def drawn_at(
    examples: NDArray[np.int64], num_draws: int, batch_size: int, size: int, seed: int
) -> list[NDArray[np.int64]]:
    """Return, for each of `examples`, which of the first `num_draws` draws (from 0) hold it.

    Every epoch holds it once, at the place that the inverse permutation names: no draw is made.
    """
    num_positions = num_draws * batch_size
    num_epochs = -(-num_positions // size)
    places = np.empty((num_epochs, len(examples)), np.int64)
    for epoch in range(num_epochs):
        within = invert(examples, size, _epoch_seed(seed, epoch))
        places[epoch] = epoch * size + within
    return [np.unique(column[column < num_positions] // batch_size) for column in places.T]


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch
