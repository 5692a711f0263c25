"""A teacher's scores of training sequences, in memory-mapped files beside them."""

# S = sequences that were scored, N = positions with a target, B = sequences of a batch,
# T = tokens of a sequence, K = tokens that are kept of a distribution

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.core.files import write_atomically
from components.lib.examples.batches import IGNORED, Batch, Examples

NUMBERS = "sequence_numbers"  # (B, 1) of a batch's extras: which example of its set each row is

_IDS, _KEPT, _SEQUENCES = "ids.npy", "log_probabilities.npy", "sequences.npy"
_DONE = ".scored"  # how far the writer is: a hidden file is no part of an artifact


class Numbered:
    """Examples that bring their number along."""

    def __init__(self, examples: Examples) -> None:
        """Number `examples` as they are numbered."""
        self._examples = examples

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._examples)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen examples."""
        plain = self._examples.batch(indices)
        rows = {**plain.extras, NUMBERS: indices[:, None]}
        return Batch(plain.inputs, plain.targets, rows, plain.lengths)


class ScoreFiles:
    """The files of `TeacherScores`, to read."""

    def __init__(self, folder: Path) -> None:
        """Map them."""
        self._folder = folder
        self._ids, self._kept = (np.load(folder / n, mmap_mode="r") for n in (_IDS, _KEPT))
        self._sequences = np.load(folder / _SEQUENCES)

    def missing(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of `sequences` that were not scored."""
        return np.setdiff1d(sequences, self._sequences)

    def read(self, sequences: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return ids (B, T, K) and ln p (B, T, K + 1) of the chosen sequences.

        Raises:
            ValueError: one of them was not scored.
        """
        if len(absent := self.missing(sequences)):
            raise ValueError(
                f"The teacher's scores in {self._folder} do not have sequence {absent[0]} of the "
                "train split. Score more of them: raise num_draws of the scores, or leave it out."
            )
        rows = np.searchsorted(self._sequences, sequences)
        return self._ids[rows], self._kept[rows]


class Progress(NamedTuple):
    """How far a writer is."""

    sequences: int = 0
    """Sequences that are written."""
    targets: int = 0
    """Their positions that have a target."""
    rest: float = 0.0
    """Probability of the tokens that are not kept, summed over these."""

    def mean_rest(self) -> float:
        """Return that probability on average."""
        return self.rest / max(1, self.targets)


class ScoreWriter:
    """The same files, being written: what a killed process wrote stays."""

    def __init__(
        self,
        folder: Path,
        sequences: NDArray[np.int64],
        shape: tuple[int, int],
        dtype: "np.dtype[Any]",
    ) -> None:
        """Write scores of `sequences`, ascending, with T and K of `shape`, ids of `dtype`."""
        length, top_k = shape
        self._folder, self.sequences = folder, sequences
        self.progress = self._read_progress()
        mode = "r+" if self.progress.sequences else "w+"
        sizes = {_IDS: (dtype, top_k), _KEPT: (np.dtype(np.float16), top_k + 1)}
        self._files = [
            np.lib.format.open_memmap(
                folder / name, mode=mode, dtype=kind, shape=(len(sequences), length, width)
            )
            for name, (kind, width) in sizes.items()
        ]

    def add(self, batch: Batch, ids: NDArray[Any], kept: NDArray[Any]) -> None:
        """Write what was said of the sequences that come next, `batch`.

        `ids` (N, K) and `kept` (N, K + 1) are of its positions with a target, row by row.
        """
        before = self.progress
        rows = slice(before.sequences, before.sequences + len(batch))
        has_target = batch.targets != IGNORED
        for file, values in zip(self._files, (ids, kept), strict=True):
            of_batch = np.zeros((*has_target.shape, values.shape[1]), file.dtype)
            of_batch[has_target] = values
            file[rows] = of_batch
            file.flush()
        rest = float(np.exp(kept[:, -1], dtype=np.float64).sum())
        self.progress = Progress(rows.stop, before.targets + len(ids), before.rest + rest)
        write_atomically(self._folder / _DONE, json.dumps(self.progress))

    def finish(self) -> None:
        """Say which sequences they are."""
        assert self.progress.sequences == len(self.sequences)
        np.save(self._folder / _SEQUENCES, self.sequences)

    def _read_progress(self) -> Progress:
        file = self._folder / _DONE
        return Progress(*json.loads(file.read_text("utf-8"))) if file.exists() else Progress()


def bytes_of_scores(shape: tuple[int, int, int], dtype: "np.dtype[Any]") -> int:
    """Return the size of the files, for N, T and K, and ids of `dtype`."""
    number, length, top_k = shape
    return number * (length * (top_k * dtype.itemsize + (top_k + 1) * 2) + 8)
