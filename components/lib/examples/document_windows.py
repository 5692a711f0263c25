"""Token shards as stretches of single documents."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LEAST = 16  # tokens that a document must have to be of use


class DocumentWindows:
    """Stretches of at most W tokens, each of one document, read from memory-mapped `shard_*.npy`.

    A document of n tokens has n // W stretches of W, or a single shorter one. One that crosses
    from a shard into the next counts as two.
    """

    def __init__(self, folder: Path, length: int, end_of_text: int) -> None:
        """Map the shards of `folder` and find the documents: each ends with `end_of_text`.

        Raises:
            ValueError: there are fewer than two documents of 16 tokens.
        """
        self._length = length
        self._shards = [np.load(file, mmap_mode="r") for file in sorted(folder.glob("shard_*.npy"))]
        found = [_documents(shard, end_of_text) for shard in self._shards]
        self._documents = np.concatenate(found) if found else np.empty((0, 2), np.int64)
        self._shard_of = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
        counts = np.maximum(1, (self._documents[:, 1] - self._documents[:, 0]) // length)
        self._firsts = np.cumsum([0, *counts])  # the first window of each document, and the end
        if len(self._documents) < 2:
            raise ValueError(
                f"{folder} has {len(self._documents)} documents of at least {_LEAST} tokens, and a "
                "pair may take its second segment from another one. "
                "Add documents with `bloomery data add`."
            )

    def __len__(self) -> int:
        """Return the number of stretches."""
        return int(self._firsts[-1])

    def text(self, index: int) -> NDArray[np.int64]:
        """Return a stretch, shape (W,) or less."""
        document = self._document(np.array([index]))[0]
        start, end = self._documents[document]
        start += (index - self._firsts[document]) * self._length
        shard = self._shards[self._shard_of[document]]
        return shard[start : min(end, start + self._length)].astype(np.int64)

    def elsewhere(self, indices: NDArray[np.int64], words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return for each stretch one of another document, drawn evenly by 64 random bits."""
        document = self._document(indices)
        first, after = self._firsts[document], self._firsts[document + 1]
        num_others = len(self) - (after - first)
        drawn = (words % num_others.astype(np.uint64)).astype(np.int64)
        return np.where(drawn < first, drawn, drawn + after - first)

    def _document(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._firsts, indices, side="right") - 1


def _documents(shard: NDArray[np.uint16], end_of_text: int) -> NDArray[np.int64]:
    """Return the start and the end of each document that is long enough, shape (D, 2)."""
    ends = np.append(np.flatnonzero(shard == end_of_text), len(shard))
    starts = np.append(0, ends[:-1] + 1)
    rows = np.stack([starts, ends], axis=1).astype(np.int64)
    return rows[ends - starts >= _LEAST]
