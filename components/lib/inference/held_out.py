"""Held-out text that models of any kind are measured on in the same way."""

# B = sequences, T = tokens of a sequence

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.data import TokenShards
from components.core.artifacts.reports import HeldOutText
from components.lib.examples.documents import Documents
from components.lib.examples.shards import BYTE_LENGTHS, Sequences
from components.lib.text.tokens import bits_per_byte

_BATCH = 16


class Scorer(Protocol):
    """A model that says how surprised it is."""

    def negative_log_likelihood(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the nats of each target of `ids` (B, T + 1), shape (B, T)."""
        ...


class HeldOut:
    """Sequences taken evenly from a split, and the bytes of text that their targets stand for."""

    def __init__(self, shards: TokenShards, split: str, length: int, number: int) -> None:
        """Take at most `number` sequences of `length` targets."""
        sequences = Sequences(shards.path / split, length)
        chosen = sequences.evenly(number)
        self.windows = sequences.windows(chosen)  # (B, T + 1)
        self._begin = shards.begin_of_text
        if self._begin is not None:  # the first token is no target, so that the text stays whole
            self.windows[:, 0] = self._begin
        lengths = np.load(shards.path / BYTE_LENGTHS)
        self.num_bytes = int(lengths[self.windows[:, 1:]].sum())
        if shards.bytes_added:
            firsts = Documents(shards.path / split).starts[:-1] + (self._begin is not None)
            places = sequences.positions(chosen)[:, None] + np.arange(1, length + 1)
            self.num_bytes -= shards.bytes_added * int(np.isin(places, firsts).sum())

    @classmethod
    def of(cls, shards: TokenShards, text: HeldOutText) -> "HeldOut":
        """Take what all models are measured on: sequences of the test split."""
        return cls(shards, "test", text.sequence_length, text.num_sequences)

    def bits_per_byte(self, model: Scorer) -> float:
        """Return what `model` needs for a byte: nats of all targets / (ln 2 x their bytes).

        The end of a document is a target like any other, though it stands for no text. What the
        tokenizer sets before every text is none: a model need not guess it, and some were never
        taught to. Where there is such a token each sequence begins with it.
        """
        nats = 0.0
        for start in range(0, len(self.windows), _BATCH):
            rows = self.windows[start : start + _BATCH]
            found = model.negative_log_likelihood(rows)
            if self._begin is not None:
                found = np.where(rows[:, 1:] == self._begin, 0.0, found)
            nats += float(found.sum(dtype=np.float64))
        return bits_per_byte(nats, self.num_bytes)
