"""Sketches: the little that is kept of a document to find those that share its words.

Words are runs of letters and digits, case-folded; a character of a script that is written without
spaces is a word. Word n-grams become 64-bit hashes, those become a MinHash signature by `rensa`
(Broder 1997; Dahlgaard et al. 2017), whose equal places estimate the Jaccard similarity, and a
sample of those n-grams whose hash is divisible by m (Broder's MOD_m sketch), which estimates how
much of a document lies in another one.

# N = documents, P = permutations, W = words of all documents
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from components.core.artifacts.base import Frozen

U32, U64 = NDArray[np.uint32], NDArray[np.uint64]

BATCH_CHARACTERS = 1 << 18  # arrays of a batch stay in the processor's cache
_SPACE = 32
_WITHOUT_SPACES = (
    range(0x0E00, 0x10A0),  # Thai, Lao, Tibetan, Burmese
    range(0x1780, 0x1800),  # Khmer
    range(0x2E80, 0xA000),  # Han, kana
    range(0x20000, 0x33480),  # rarer Han
)
_MANY = 16  # characters, from which on one pass over a text is faster than one for each
_CODE_SIGNS = b"=(){}[]<>|_;\\"
_IN_CODE = 0.04  # share of bytes that are such signs: a tenth of it in sentences
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64


class Matching(Frozen):
    """When two documents count as the same text."""

    ngram_size: int = Field(default=3, ge=1, le=16)
    """Consecutive words that are compared as one for near duplicates. Smaller ones survive more
    change: of n-grams of 3, 5 and 13 words, 86, 77 and 51 % survive a change of 5 % of words."""
    num_permutations: int = Field(default=128, ge=8, le=1024)
    """Places of a MinHash signature, 4 bytes each."""
    num_bands: int = Field(default=32, ge=1)
    """Parts of a signature; documents that agree on all of one are compared. With b bands of r
    rows that is so for a share 1 - (1 - s^r)^b of pairs of Jaccard similarity s."""
    threshold: float = Field(default=0.5, gt=0, le=1)
    """Estimated Jaccard similarity of n-grams from which on documents are near duplicates. Of 3
    words, 0.75 is a change of 5 % of the words, 0.57 of 10 %, 0.34 of 20 %."""
    passage_ngram_size: int = Field(default=8, ge=1, le=64)
    """Consecutive words that are compared as one to find a document inside a longer one."""
    sample_one_in: int = Field(default=8, ge=1)
    """One of so many of those n-grams is kept, 4 bytes each."""
    containment_threshold: float = Field(default=0.9, gt=0, le=1)
    """Estimated share of a document's n-grams from which on it lies in a longer one."""
    min_samples: int = Field(default=5, ge=1)
    """A document of which fewer n-grams were kept is not looked for inside others: at the
    defaults, one of fewer than about 50 words."""
    seed: int = 42
    """Of the permutations, and of what is planted."""

    @model_validator(mode="after")
    def _whole_rows(self) -> Self:
        if self.num_permutations % self.num_bands:
            raise ValueError(
                f"num_permutations={self.num_permutations} is no multiple of "
                f"num_bands={self.num_bands}: choose num_bands so that each has as many rows."
            )
        return self


class Sketches(NamedTuple):
    """Sketches of consecutive documents."""

    digests: U64
    """First half of the sha256 of the normalised text, shape (N, 2)."""
    num_bytes: U64
    """UTF-8 bytes of the text, shape (N,)."""
    num_words: U64
    """Words, shape (N,)."""
    signatures: U32
    """MinHash signatures, shape (N, P); of no meaning where there are fewer words than a n-gram."""
    samples: U32
    """Sampled n-grams, ascending in each document, one document after the other."""
    num_samples: U64
    """How many of them each document has, shape (N,)."""

    def only(self, chosen: NDArray[np.bool_]) -> "Sketches":
        """Return the sketches of the documents that are chosen, shape (N,)."""
        samples = self.samples[np.repeat(chosen, self.num_samples.astype(np.int64))]
        per_document = {
            name: values[chosen] for name, values in self._asdict().items() if name != "samples"
        }
        return Sketches(samples=samples, **per_document)


def sketch(texts: Iterable[str], matching: Matching) -> Sketches:
    """Return the sketches of `texts`; they do not depend on what is sketched together."""
    parts = [_sketch_batch(batch, matching) for batch in _batches(texts)]
    return Sketches(
        *map(np.concatenate, zip(*(parts or [_sketch_batch([], matching)]), strict=True))
    )


def combine(columns: list[U64]) -> U64:
    """Return a hash of each row of equally long columns; their order matters. Any shape."""
    total = np.zeros_like(columns[0])
    for number, column in enumerate(columns):
        total += column * np.uint64(_power(_BASE, number + 1))
    return _mixed(total)


def normalise(text: str) -> str:
    """Return `text` case-folded, with each run of white space one space."""
    return " ".join(text.casefold().split())


def identity(text: str) -> bytes:
    """Return what makes two texts the same: all but white space, and case except in code."""
    return _identity(text, normalise(text))


def _identity(text: str, normalised: str) -> bytes:
    folded = normalised.encode()
    signs = len(folded) - len(folded.translate(None, _CODE_SIGNS))
    return " ".join(text.split()).encode() if signs >= _IN_CODE * len(folded) else folded


def words_of(text: str) -> list[bytes]:
    """Return the words of a text, as they are compared."""
    return _spaced(normalise(text)).split()


def word_hashes(text: bytes) -> tuple[NDArray[np.intp], U64]:
    """Return where each word of `text` starts, and its hash; words are parted by spaces.

    A word's hash is a polynomial of its bytes modulo 2^64, taken from prefix sums, then mixed.
    """
    found = [_words_of(chunk, start) for start, chunk in _chunks(text)]
    starts, hashes = zip(*found, strict=True)
    return np.concatenate(starts), np.concatenate(hashes)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _sketch_batch(texts: list[str], matching: Matching) -> Sketches:
    normalised = [normalise(text) for text in texts]
    same = map(_identity, texts, normalised)
    digests = [hashlib.sha256(written).digest()[:16] for written in same]
    words = [_spaced(text) for text in normalised]
    ends = np.cumsum([len(text) + 1 for text in words], dtype=np.int64)
    starts, hashes = word_hashes(b" ".join(words))
    bounds = np.concatenate([[0], np.searchsorted(starts, ends)]).astype(np.int64)
    samples, num_samples = _samples(hashes, bounds, matching)
    return Sketches(
        digests=np.frombuffer(b"".join(digests), np.dtype("<u8")).reshape(-1, 2),
        num_bytes=np.array([len(text.encode()) for text in texts], np.uint64),
        num_words=np.diff(bounds).astype(np.uint64),
        signatures=_signatures(hashes, bounds, matching),
        samples=samples,
        num_samples=num_samples,
    )


def _signatures(hashes: U64, bounds: NDArray[np.int64], matching: Matching) -> U32:
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] # compiled

    ngrams, owners = _ngrams(hashes, bounds, matching.ngram_size)
    offsets = np.searchsorted(owners, np.arange(len(bounds))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        ngrams, offsets, matching.num_permutations, matching.seed
    )
    return np.array(matrix.to_rows(), np.uint32).reshape(-1, matching.num_permutations)


def _samples(hashes: U64, bounds: NDArray[np.int64], matching: Matching) -> tuple[U32, U64]:
    ngrams, owners = _ngrams(hashes, bounds, matching.passage_ngram_size)
    kept = ngrams % np.uint64(matching.sample_one_in) == 0
    high = np.uint64(32)
    distinct = np.unique(owners[kept].astype(np.uint64) << high | ngrams[kept] >> high)
    counts = np.bincount((distinct >> high).astype(np.int64), minlength=len(bounds) - 1)
    return distinct.astype(np.uint32), counts.astype(np.uint64)


def _ngrams(hashes: U64, bounds: NDArray[np.int64], size: int) -> tuple[U64, NDArray[np.int64]]:
    """Return the hashes of the n-grams that lie in one document, and the document of each."""
    count = max(0, len(hashes) - size + 1)
    owners = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    inside = owners[:count] == owners[len(hashes) - count :]
    ngrams = combine([hashes[i : i + count] for i in range(size)])
    return ngrams[inside], owners[:count][inside]


class _Spaced(dict[int, str]):
    """Makes a space of all but letters, marks and numbers, and parts words without spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character)[0] not in "LMN":
            self[code] = " "
        elif any(code in script for script in _WITHOUT_SPACES):
            self[code] = f" {character} "
        else:
            self[code] = character
        return self[code]


_SPACED = _Spaced()
_SPACED_ASCII = bytes(c if c > 127 or chr(c).isalnum() else _SPACE for c in range(256))


def _spaced(text: str) -> bytes:
    """Return the words of a normalised text with spaces between them."""
    if not text.isascii():
        others = {c for c in set(text) if not c.isascii() and _SPACED[ord(c)] != c}
        if len(others) > _MANY:
            text = text.translate(_SPACED)
        else:
            for character in others:
                text = text.replace(character, _SPACED[ord(character)])
    return text.encode().translate(_SPACED_ASCII)


def _chunks(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield parts that end between words, a space around each, and where they start."""
    start = 0
    while start < max(1, len(text)):
        end = text.find(b" ", start + BATCH_CHARACTERS)
        end = len(text) if end < 0 else end
        yield start, b" " + text[start:end] + b" "
        start = end + 1


def _words_of(chunk: bytes, offset: int) -> tuple[NDArray[np.intp], U64]:
    letters = np.frombuffer(chunk, np.uint8)
    spaces = letters == _SPACE
    turns = np.flatnonzero(spaces[1:] != spaces[:-1]) + 1
    starts, ends = turns[::2], turns[1::2]
    size = 1 << len(chunk).bit_length()
    sums = np.cumsum(letters * _powers(_BASE, size)[: len(letters)])
    hashes = sums[ends - 1] - sums[starts - 1]
    return starts + (offset - 1), _mixed(hashes * _powers(_power(_BASE, -1), size)[starts])


@cache
def _powers(base: int, count: int) -> U64:
    """Return base^0, base^1, ... modulo 2^64, shape (count,); count is a power of two."""
    powers = np.ones(count, np.uint64)
    done = 1
    while done < count:
        powers[done : 2 * done] = powers[:done] * np.uint64(_power(base, done))
        done *= 2
    return powers


def _power(base: int, exponent: int) -> int:
    return pow(base, exponent, 1 << 64)


def _mixed(hashes: U64) -> U64:
    """Return the hashes with every bit depending on every bit (the end of splitmix64)."""
    hashes = (hashes ^ hashes >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ hashes >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return hashes ^ hashes >> np.uint64(31)
