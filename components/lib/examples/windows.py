"""Examples of the next-token objective: the windows of a split of token shards."""

# B = examples, T = tokens of an example

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.lib.examples.documents import Documents, Part
from components.lib.examples.shards import Sequences

if TYPE_CHECKING:
    from components.lib.examples.batches import Batch


class Windows:
    """Examples of the next-token objective: the windows of a split."""

    def __init__(self, folder: Path, sequence_length: int, document_mask: bool = False) -> None:
        """Map the shards of `folder`.

        With `document_mask` positions begin again at 0 in each document, and no document's first
        token is predicted from the one before.

        Raises:
            ValueError: the shards do not hold a single window, or do not say where documents begin.
        """
        self.sequences = Sequences(folder, sequence_length)
        self._starts = Documents(folder).starts if document_mask else None

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.sequences)

    def batch(self, indices: NDArray[np.int64]) -> "Batch":
        """Return the chosen sequences: targets are the inputs one token on."""
        from components.lib.examples.batches import (  # counting does without torch
            IGNORED,
            POSITIONS,
            Batch,
        )

        windows = self.sequences.windows(indices)
        inputs, targets = windows[:, :-1].copy(), windows[:, 1:].copy()
        if self._starts is None:
            return Batch(inputs, targets)
        begins = self._begins(indices)
        targets[begins[:, 1:]] = IGNORED
        lengths = np.full(len(inputs), self.sequences.length)
        return Batch(inputs, targets, {POSITIONS: positions(begins[:, :-1])}, lengths)

    def num_tokens(self, indices: NDArray[np.int64]) -> int:
        """Return how many tokens the chosen sequences hold in all."""
        return len(indices) * self.sequences.length

    def parts_in(self, documents: Documents, window: int) -> list[Part]:
        """Return the parts of documents that a window holds, inputs and targets, in order."""
        return documents.in_window(self.sequences, window)

    def parts_of(self, documents: Documents, document: int) -> list[Part]:
        """Return what each window holds of a document."""
        return documents.parts(self.sequences, document)

    def documents_in(self, documents: Documents, seen: NDArray[np.bool_]) -> int:
        """Return how many documents have a token in a window that was `seen`, (windows,)."""
        first, after = self.sequences.holding(documents.starts[:-1], documents.starts[1:])
        before = np.cumsum([0, *seen])  # windows seen before each one
        return int((before[after] > before[first]).sum())

    def _begins(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return where the tokens of the chosen windows begin a document, (B, T + 1)."""
        assert self._starts is not None
        begins = np.zeros((len(indices), self.sequences.length + 1), bool)
        for row, start in zip(begins, self.sequences.positions(indices).tolist(), strict=True):
            first, after = np.searchsorted(self._starts, [start, start + len(row)])
            row[self._starts[first:after] - start] = True
        return begins


def positions(begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how far each token is after the last one that `begins` a stretch; (B, T) both."""
    places = np.arange(begins.shape[1])
    return places - np.maximum.accumulate(np.where(begins, places, 0), axis=1)
