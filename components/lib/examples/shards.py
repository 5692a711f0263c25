"""Token shards as training sequences. T = tokens of a sequence."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BYTE_LENGTHS = "byte_lengths.npy"  # int32, shape (vocab_size,): bytes of text a token stands for


class Stream:
    """The one long stream of a split's tokens, read from memory-mapped `shard_*.npy`."""

    def __init__(self, folder: Path) -> None:
        """Map the shards of `folder`."""
        self._shards = [np.load(file, mmap_mode="r") for file in sorted(folder.glob("shard_*.npy"))]
        self._offsets = np.cumsum([0, *map(len, self._shards)])

    def __len__(self) -> int:
        """Return the number of tokens."""
        return int(self._offsets[-1])

    def read(self, start: int, end: int) -> NDArray[np.int64]:
        """Return the tokens from `start` to before `end`, across shards, shape (end - start,)."""
        shard = int(np.searchsorted(self._offsets, start, side="right")) - 1
        found = [np.empty(0, np.int64)]
        while start < end:
            after, offset = min(end, int(self._offsets[shard + 1])), self._offsets[shard]
            found.append(self._shards[shard][start - offset : after - offset].astype(np.int64))
            start, shard = after, shard + 1
        return np.concatenate(found)


def token_dtype(vocab_size: int) -> "np.dtype[np.uint16] | np.dtype[np.uint32]":
    """Return what the ids of a shard are: uint16, or uint32 where that does not hold them."""
    return np.dtype(np.uint16) if vocab_size <= 1 << 16 else np.dtype(np.uint32)


class Sequences:
    """Windows of T inputs and their T targets, read from memory-mapped `shard_*.npy`.

    Windows follow each other without overlap and do not cross shards: a shard of n tokens has
    (n - 1) // T of them.
    """

    def __init__(self, folder: Path, length: int) -> None:
        """Map the shards of `folder` and cut them into windows of `length` = T targets.

        Raises:
            ValueError: the shards do not hold a single window.
        """
        files = sorted(folder.glob("shard_*.npy"))
        self.length = length
        self._shards = [np.load(file, mmap_mode="r") for file in files]
        counts = [max(0, len(shard) - 1) // length for shard in self._shards]
        self._starts = np.cumsum([0, *counts])
        self._offsets = np.cumsum([0, *map(len, self._shards)])
        if len(self) == 0:
            tokens = sum(len(shard) for shard in self._shards)
            raise ValueError(
                f"{folder} has {tokens} tokens, fewer than one sequence of {length + 1}. "
                "Add documents with `bloomery data add`, or shorten the sequence_length."
            )

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._starts[-1])

    def windows(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the chosen windows, shape (len(indices), T + 1): inputs and targets overlap."""
        rows = np.empty((len(indices), self.length + 1), np.int64)
        shards = self._shards_of(indices)
        for row, (index, shard) in enumerate(zip(indices, shards, strict=True)):
            start = int(index - self._starts[shard]) * self.length
            rows[row] = self._shards[shard][start : start + self.length + 1]
        return rows

    def positions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where in the split's stream of tokens the chosen windows begin, same shape.

        A window holds the T + 1 tokens from there on.
        """
        shards = self._shards_of(indices)
        return self._offsets[shards] + (indices - self._starts[shards]) * self.length

    def holding(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first window that holds a token of each stretch and the one after the last.

        `starts` and `ends` are positions in the split's stream, `ends` the ones after the
        stretches. The two are equal where no window holds any of it: in the rest of a shard.
        """
        counts = np.diff(self._starts)
        shards = np.searchsorted(self._offsets[1:-1], starts, side="right")
        # token p of a shard is a target of window (p - 1) // T and an input of window p // T
        first = np.maximum(0, (starts - self._offsets[shards] - 1) // self.length)
        first = self._starts[shards] + np.minimum(first, counts[shards])
        shards = np.searchsorted(self._offsets[1:-1], ends - 1, side="right")
        last = np.minimum((ends - 1 - self._offsets[shards]) // self.length, counts[shards] - 1)
        after = self._starts[shards] + last + 1
        return first, np.maximum(first, after)

    def holds(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether one window holds all of each stretch, inputs and targets together."""
        counts = np.diff(self._starts)
        shards = np.searchsorted(self._offsets[1:-1], starts, side="right")
        windows = np.minimum((starts - self._offsets[shards]) // self.length, counts[shards] - 1)
        after = self._offsets[shards] + (windows + 1) * self.length + 1
        return (windows >= 0) & (ends <= after)

    def num_held(self) -> int:
        """Return how many tokens of the split some window holds."""
        counts = np.diff(self._starts)
        return int((counts * self.length + (counts > 0)).sum())

    def _shards_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, indices, side="right") - 1

    def evenly(self, number: int) -> NDArray[np.int64]:
        """Return which windows, at most `number`, are taken evenly from all."""
        return np.unique(np.linspace(0, len(self) - 1, min(number, len(self))).astype(np.int64))

    def spread(self, number: int) -> NDArray[np.int64]:
        """Return at most `number` windows taken evenly from all, shape (n, T + 1)."""
        return self.windows(self.evenly(number))
