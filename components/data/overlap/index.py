"""Where documents and evaluation items share words: an index of the items' n-grams of words.

n-grams are as in Brown et al. 2020, appendix C, but compared letter by letter without the gaps
between words, so that nothing which wraps, spaces, hyphenates, capitalises or punctuates a text
otherwise hides it.
"""

# L = letters of a text, G = n-grams of the index

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.data.overlap.letters import Letters, letters, word_starts

MIN_LETTERS = 32  # of an n-gram: a shorter one, such as 13 digits, is also met by chance

_BLOCK = 1 << 14  # letters that are hashed at a time: their arrays fit into a core's cache
_BASE = 0x9E3779B97F4A7C15  # of the polynomial hash, odd: it has an inverse modulo 2 ** 64
_SPREADS = ((1, 4), (0xC2B2AE3D27D4EB4F, 16))  # a table for the cache, and one that lets few pass
_MIN_BITS, _MAX_BITS = 12, 26  # of these tables: at most 64 MiB


class EvaluationItem(NamedTuple):
    """A text of an evaluation set."""

    set: str
    """Name of the evaluation set."""
    id: str
    """Its name in the set."""
    text: str
    """What a document must not hold."""

    @property
    def name(self) -> str:
        """`<set>/<id>`."""
        return self.id if self.id.startswith(f"{self.set}/") else f"{self.set}/{self.id}"


class Hit(NamedTuple):
    """An n-gram of the index in a text."""

    ngram: int
    """Its number in the index, below G."""
    start: int
    """The letter of the text at which it begins."""
    end: int
    """The one after its last."""


class Listing(NamedTuple):
    """What an index was made of."""

    names: list[str]
    """Name of each item."""
    sets: list[str]
    """Evaluation set of each item."""
    too_short: dict[str, int]
    """Items that are not looked for, by evaluation set."""


class _Filter:
    """A table that says of most hashes that they are not among those of an index (Bloom 1970)."""

    def __init__(self, hashes: NDArray[np.uint64], spread: tuple[int, int]) -> None:
        """Enter `hashes`, multiplied, into a table with so many places for each of them."""
        self._factor, places = np.uint64(spread[0]), spread[1] * len(hashes)
        bits = min(_MAX_BITS, max(_MIN_BITS, places.bit_length()))
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._places(hashes)] = True

    def passed(
        self, hashes: NDArray[np.uint64], names: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the hashes that may be in the index, and their names."""
        (near,) = np.nonzero(self._table.take(self._places(hashes)))
        return hashes[near], names[near]

    def _places(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return ((hashes * self._factor) >> self._shift).view(np.int64)


class Overlap:
    """The n-grams of evaluation items, by the hash of their first `MIN_LETTERS` letters.

    An n-gram has n words, or more if they have fewer than `MIN_LETTERS` letters. An item of fewer
    than n words is one n-gram. An item of fewer than `MIN_LETTERS` letters is not looked for.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], listing: Listing) -> None:
        """Take what `build` makes and `load` reads."""
        self._arrays, self.listing = arrays, listing
        self._letters, self._hashes = arrays["letters"], arrays["hashes"]
        self._starts, self._ends = arrays["starts"], arrays["ends"]
        self.items: NDArray[np.int64] = arrays["items"]
        """Number of the item that each n-gram is of, shape (G,)."""
        self._filters = [_Filter(self._hashes, spread) for spread in _SPREADS]

    def __len__(self) -> int:
        """Return G, the number of n-grams."""
        return len(self._hashes)

    def summary(self) -> dict[str, int]:
        """Return how many items and n-grams it has, and how many items are not looked for."""
        return {
            "evaluation_items": len(self.listing.names),
            "evaluation_items_too_short": sum(self.listing.too_short.values()),
            "evaluation_ngrams": len(self),
        }

    @classmethod
    def build(cls, items: Iterable[EvaluationItem], ngram_words: int) -> "Overlap":
        """Index `items`. Of equal n-grams of one set it keeps the first."""
        texts: list[Letters] = [np.empty(0, np.uint32)]
        rows: list[NDArray[Any]] = [np.empty((0, 5), np.uint64)]
        listing, length = Listing([], [], {}), 0
        too_short, sets = Counter[str](), dict[str, int]()
        for number, item in enumerate(items):
            text, spans = _ngrams(item.text, ngram_words)
            listing.names.append(item.name)
            listing.sets.append(item.set)
            too_short[item.set] += len(spans) == 0
            of_set = sets.setdefault(item.set, len(sets) + 1)
            rows.append(_rows(text, spans, length, number, of_set))
            texts.append(text)
            length += len(text)
        listing.too_short.update(too_short)
        return cls(_arrays(np.concatenate(texts).astype(np.uint32), np.concatenate(rows)), listing)

    def without(self, ngrams: NDArray[np.int64]) -> "Overlap":
        """Return an index that does not look for these n-grams."""
        kept = np.delete(np.arange(len(self)), ngrams)
        arrays = {name: self._arrays[name][kept] for name in ("hashes", "starts", "ends", "items")}
        return Overlap({"letters": self._letters, **arrays}, self.listing)

    def save(self, folder: Path) -> None:
        """Write the index into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays.items():
            np.save(folder / f"{name}.npy", array)
        (folder / "listing.json").write_text(json.dumps(self.listing), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Overlap":
        """Map the index that `save` wrote: the processes of a machine share its memory."""
        arrays = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
        return cls(arrays, Listing(*json.loads((folder / "listing.json").read_text("utf-8"))))

    def hits(self, text: Letters) -> list[Hit]:
        """Return the n-grams that stand in a text, letter by letter, by where they begin."""
        return [
            Hit(ngram, start, start + int(self._ends[ngram] - self._starts[ngram]))
            for block in range(0, len(text) - MIN_LETTERS + 1, _BLOCK)
            for ngram, start in self._candidates(text, block)
            if self._is_at(ngram, text, start)
        ]

    def documents_with(self, texts: Iterable[str]) -> dict[str, int]:
        """Return in how many of the texts an n-gram stands, by its number, if in any."""
        documents = Counter[str]()
        for text in texts:
            documents.update({str(hit.ngram) for hit in self.hits(letters(text))})
        return dict(documents)

    def _candidates(self, text: Letters, block: int) -> Iterator[tuple[int, int]]:
        """Yield n-grams and places of a block where the hash of their first letters is found."""
        hashes = _window_hashes(text[block : block + _BLOCK + MIN_LETTERS - 1])
        near = np.arange(len(hashes))
        for table in self._filters:
            hashes, near = table.passed(hashes, near)
        if len(near) == 0:
            return
        first = np.searchsorted(self._hashes, hashes)
        known = self._hashes.take(first, mode="clip") == hashes
        after = np.searchsorted(self._hashes, hashes[known], side="right")
        for place, start, end in zip(near[known], first[known], after, strict=True):
            for ngram in range(int(start), int(end)):
                yield ngram, block + int(place)

    def _is_at(self, ngram: int, text: Letters, start: int) -> bool:
        wanted = self._letters[self._starts[ngram] : self._ends[ngram]]
        return np.array_equal(wanted, text[start : start + len(wanted)])


def _ngrams(text: str, ngram_words: int) -> tuple[Letters, NDArray[np.int64]]:
    """Return the letters of a text, and where in them n-grams begin and end, shape (G, 2)."""
    text = unicodedata.normalize("NFKC", text)
    found = letters(text)
    if len(found) < MIN_LETTERS:
        return found, np.empty((0, 2), np.int64)
    starts = word_starts(text)
    if len(starts) < ngram_words:
        return found, np.array([[0, len(found)]])
    bounds = np.append(starts, len(found))
    after = np.maximum(
        np.arange(len(starts)) + ngram_words, np.searchsorted(bounds, starts + MIN_LETTERS)
    )
    whole = after < len(bounds)
    return found, np.stack([starts[whole], bounds[after[whole]]], axis=1)


def _rows(
    text: Letters, spans: NDArray[np.int64], offset: int, item: int, of_set: int
) -> NDArray[np.uint64]:
    """Return of each n-gram: hash, hash of all of it and its set, start, end and item."""
    starts, ends = spans.T
    hashes = _hashes(text, starts, starts + MIN_LETTERS)
    whole = _hashes(text, starts, ends) * np.uint64(2 * of_set + 1)
    places = [starts + offset, ends + offset, np.full(len(spans), item)]
    return np.stack([hashes, whole, *(column.astype(np.uint64) for column in places)], axis=1)


def _arrays(text: NDArray[np.uint32], rows: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    _, kept = np.unique(rows[:, 1], return_index=True)
    rows = rows[np.sort(kept)]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    hashes = rows[:, 0].copy()  # a search in a column of a table would copy it each time
    starts, ends, items = rows[:, 2:].T.astype(np.int64, order="C")
    return {"letters": text, "hashes": hashes, "starts": starts, "ends": ends, "items": items}


def _hashes(
    text: Letters, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the hashes of stretches of a text, same shape as `starts`.

    The hash is the polynomial of the letters in `_BASE` modulo 2 ** 64, by differences of prefix
    sums (Karp and Rabin 1987); its high bits are the well mixed ones.
    """
    sums, inverses = _sums(text)
    return (sums[ends] - sums[starts]) * inverses[starts]


def _window_hashes(text: Letters) -> NDArray[np.uint64]:
    """Return the hash of each `MIN_LETTERS` letters in a row, shape (L - MIN_LETTERS + 1,)."""
    sums, inverses = _sums(text)
    hashes = sums[MIN_LETTERS:] - sums[:-MIN_LETTERS]
    hashes *= inverses[: len(hashes)]
    return hashes


def _sums(text: Letters) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    powers, inverses = _powers(1 << len(text).bit_length())
    sums = np.zeros(len(text) + 1, np.uint64)
    np.multiply(text, powers[: len(text)], out=sums[1:], casting="unsafe")
    np.cumsum(sums, out=sums)
    return sums, inverses


@cache
def _powers(number: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return `_BASE` to the powers 1, 2, ... and to 0, -1, ..., modulo 2 ** 64."""
    powers = np.cumprod(np.full(number, _BASE, np.uint64))
    inverses = np.cumprod(np.full(number, pow(_BASE, -1, 1 << 64), np.uint64))
    return powers, np.concatenate([np.ones(1, np.uint64), inverses[:-1]])
