"""N-gram language models, counted with numpy: what a neural model must beat to be worth its cost.

Ids fit 16 bits, so a trigram packs into one 64-bit key and all counts are sorted arrays.
"""

# n = tokens, K = distinct n-grams

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


class Counts(NamedTuple):
    """Distinct n-grams and how often each was seen."""

    keys: Ids  # (K,), sorted
    counts: Ids  # (K,)

    @classmethod
    def of(cls, keys: Ids) -> "Counts":
        """Count the packed n-grams `keys`, shape (n,)."""
        return cls(*np.unique(keys, return_counts=True))

    def look_up(self, keys: Ids) -> Ids:
        """Return the count of each of `keys`, 0 where it was never seen."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.counts[places], 0)


def unigram_nats(train: Ids, targets: Ids, vocab_size: int) -> Floats:
    """Return -ln p of each of `targets` by add-one unigram frequencies of `train`."""
    counts = np.bincount(train, minlength=vocab_size) + 1
    return -np.log(counts[targets] / counts.sum())


class KneserNeyTrigram:
    """Interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 2.7).

    One discount an order, D = n1 / (n1 + 2 n2); lower orders count distinct left contexts.
    """

    def __init__(self, train: Ids, vocab_size: int) -> None:
        """Count `train`, shape (n,)."""
        self._size = vocab_size
        a, b, c = train[:-2], train[1:-1], train[2:]
        self._trigrams = Counts.of(self._pack(a, b, c))
        # continuation counts: in how many distinct left contexts each lower n-gram was seen
        pairs = self._trigrams.keys % vocab_size**2
        self._bigrams = Counts.of(pairs)
        words = self._bigrams.keys % vocab_size
        self._unigrams = np.bincount(words, minlength=vocab_size)
        self._history3 = _History(self._trigrams, self._trigrams.keys // vocab_size)
        self._history2 = _History(self._bigrams, self._bigrams.keys // vocab_size)

    def nats(self, first: Ids, second: Ids, target: Ids) -> Floats:
        """Return -ln p(target | first, second), all of shape (n,)."""
        size = self._size
        unigram = (self._unigrams[target] + 1) / (self._unigrams.sum() + size)
        bigram = self._history2.interpolate(
            self._bigrams.look_up(second * size + target), second, unigram
        )
        trigram = self._history3.interpolate(
            self._trigrams.look_up(self._pack(first, second, target)),
            first * size + second,
            bigram,
        )
        return -np.log(trigram)

    def _pack(self, a: Ids, b: Ids, c: Ids) -> Ids:
        return (a * self._size + b) * self._size + c


class _History:
    """Totals and distinct continuations of each history of one order."""

    def __init__(self, ngrams: Counts, histories: Ids) -> None:
        self._keys, starts = np.unique(histories, return_index=True)
        self._totals = np.add.reduceat(ngrams.counts, starts)
        self._distinct = np.diff([*starts, len(histories)])
        ones, twos = (ngrams.counts == 1).sum(), (ngrams.counts == 2).sum()
        self._discount = float(ones / (ones + 2 * twos)) if ones else 0.5

    def interpolate(self, counts: Ids, histories: Ids, lower: Floats) -> Floats:
        """Return (max(c - D, 0) + D N p_lower) / total; `lower` where the history is new."""
        places = np.minimum(np.searchsorted(self._keys, histories), len(self._keys) - 1)
        known = self._keys[places] == histories
        total, distinct = self._totals[places], self._distinct[places]
        discounted = np.maximum(counts - self._discount, 0.0)
        return np.where(known, (discounted + self._discount * distinct * lower) / total, lower)
