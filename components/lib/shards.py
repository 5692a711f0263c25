"""Token shards as training sequences. T = tokens of a sequence."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BYTE_LENGTHS = "byte_lengths.npy"  # int32, shape (vocab_size,): bytes of text a token stands for


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
        shards = np.searchsorted(self._starts, indices, side="right") - 1
        for row, (index, shard) in enumerate(zip(indices, shards, strict=True)):
            start = int(index - self._starts[shard]) * self.length
            rows[row] = self._shards[shard][start : start + self.length + 1]
        return rows

    def spread(self, number: int) -> NDArray[np.int64]:
        """Return at most `number` windows taken evenly from all, shape (n, T + 1)."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(number, len(self))).astype(np.int64))
        return self.windows(chosen)
