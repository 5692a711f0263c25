"""Sequences of a text, with a stated share of another text's among them.

Reading some of what was learnt before is the plainest remedy against forgetting it (Robins 1995),
and a few hundredths do for a model that goes on with other documents (Ibrahim et al. 2024, arXiv
2403.08763).
"""

# B = examples, T = tokens of an example, n = indices

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.lib.examples.packed import PackedDocuments, sequences_of
from components.lib.examples.packing import Packing
from components.lib.examples.permutation import examples_at, invert, permute
from components.lib.examples.windows import Windows

if TYPE_CHECKING:
    from components.lib.examples.batches import Batch

Text = Windows | PackedDocuments

_ORDER = 1  # key of the permutation that says which sequences are read again
_AT_ONCE = 1 << 18  # positions


class Replayed:
    """Sequences to learn, each once, and as many read again as make a stated share of all.

    The first indices are the sequences to learn, the others places for one that is read again.
    Which one a place has depends on the index alone, so that a resumed run and any number of
    processes see the same; none is read twice before all were read once.
    """

    def __init__(self, learnt: Text, again: Text | None = None, share: float = 0) -> None:
        """Let `share` of all indices be sequences of `again`."""
        self.texts: tuple[Text, ...] = (learnt,) if again is None else (learnt, again)
        self._num_learnt = len(learnt)
        self._num_places = 0 if again is None else round(len(learnt) * share / (1 - share))

    def __len__(self) -> int:
        """Return the number of sequences to learn, and of places for those that are read again."""
        return self._num_learnt + self._num_places

    def found(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return of which of `texts` each index is, and which sequence of that, (n,) both."""
        of = (indices >= self._num_learnt).astype(np.int64)
        sequences = indices.copy()
        if of.any():
            size = len(self.texts[1])
            places = (indices[of == 1] - self._num_learnt) % size
            sequences[of == 1] = permute(places, size, _ORDER)
        return of, sequences

    def indices_of(self, text: int, sequence: int) -> NDArray[np.int64]:
        """Return every index that is this sequence of `texts[text]`, (n,)."""
        if text == 0:
            return np.array([sequence])
        size = len(self.texts[1])
        (first,) = invert(np.array([sequence]), size, _ORDER)
        return np.arange(self._num_learnt + first, len(self), size)

    def batch(self, indices: NDArray[np.int64]) -> "Batch":
        """Return the chosen sequences as one batch, in the order of the indices."""
        from components.lib.examples.batches import Batch

        of, sequences = self.found(indices)
        parts = [text.batch(sequences[of == n]) for n, text in enumerate(self.texts)]
        row_of = np.argsort(np.argsort(of, kind="stable"))
        extras = {
            name: np.concatenate([part.extras[name] for part in parts])[row_of]
            for name in parts[0].extras
        }
        lengths = [part.lengths for part in parts if part.lengths is not None]
        return Batch(
            np.concatenate([part.inputs for part in parts])[row_of],
            np.concatenate([part.targets for part in parts])[row_of],
            extras,
            np.concatenate(lengths)[row_of] if lengths else None,
        )

    def num_tokens(self, indices: NDArray[np.int64]) -> int:
        """Return how many tokens the chosen sequences hold in all."""
        of, sequences = self.found(indices)
        return sum(text.num_tokens(sequences[of == n]) for n, text in enumerate(self.texts))

    def measures(self, num_drawn: int, seed: int) -> dict[str, float]:
        """Return how many of the first sequences that are drawn are read again, for the metrics."""
        again = sum(
            int((examples_at(positions, len(self), seed) >= self._num_learnt).sum())
            for positions in np.split(np.arange(num_drawn), range(_AT_ONCE, num_drawn, _AT_ONCE))
        )
        return {
            "replay.sequences": float(again),
            "replay.share": again / num_drawn,
            "replay.epochs": again / len(self.texts[1]) if again else 0.0,
        }


def replayed(
    learnt: Path,
    again: Path | None,
    share: float,
    sequence_length: int,
    packing: Packing = "stream",
    document_mask: bool = False,
) -> Replayed:
    """Return the sequences of token shards in two folders, cut alike.

    Raises:
        ValueError: one of them has none, or does not say where documents begin.
    """
    texts = [
        sequences_of(folder / "train", sequence_length, packing, document_mask)
        for folder in (learnt, again)
        if folder is not None
    ]
    return Replayed(*texts, share=share)
