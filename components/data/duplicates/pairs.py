"""Which documents of an index share their text, found without comparing all with all.

Documents that have a key in common are candidates: a band of their signatures (Lee et al. 2022,
"Deduplicating training data makes language models better"), or one of the smallest sampled n-grams
of the shorter one. Candidates are then verified by all that the index
knows of both; what is left is compared text by text, see `judge`.

Whether two documents are candidates depends on no document that comes after both, so that an index
that grows gives the pairs that one made at once does.

# R = rows of the index, one a distinct text
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates.index import DuplicateIndex
from components.data.duplicates.minhash import Matching, combine

_BAND_WINDOW = 16  # a document is compared with so many before it that have its key, and the first
_ANCHOR_WINDOW = 4
_SHARED_ANCHORS = 2  # fewer are often a phrase that many have, such as a notice
_LONGER = 1.2  # times as many words as a document have those that it can lie in
_NUM_ANCHORS = 8  # n-grams that a shorter document is looked up by
_CHUNK = 1 << 14
_ENTRIES = 1 << 22  # n-grams that are sorted at once

Rows = NDArray[np.int64]


def near_pairs(index: DuplicateIndex, first_new: int, matching: Matching, scratch: Path) -> Rows:
    """Return the pairs (earlier, later) of near duplicates, later >= `first_new`, shape (n, 2)."""
    rows = np.flatnonzero(index.num_words >= matching.ngram_size)
    pairs = np.empty(0, np.int64)
    for file in _write_keys(index, rows, matching, scratch):
        found = _codes(neighbours(np.fromfile(file, np.uint64), rows, _BAND_WINDOW), first_new)
        file.unlink()
        new = found[~np.isin(found, pairs)]
        pairs = np.union1d(pairs, new[_similarity(index, new) >= matching.threshold])
    return _decoded(pairs)


def contained_pairs(index: DuplicateIndex, first_new: int, matching: Matching) -> Rows:
    """Return the pairs (contained, clearly longer), one of them >= `first_new`, shape (n, 2)."""
    lengths = index.num_words
    found = [np.empty(0, np.int64)]
    for keys, rows, anchors in _sampled(index, matching):
        for one, other in neighbours(keys, np.arange(len(keys)), _ANCHOR_WINDOW):
            shorter = np.where(lengths[rows[one]] < lengths[rows[other]], one, other)
            longer = one + other - shorter
            likely = anchors[shorter] & (rows[other] >= first_new)
            likely &= lengths[rows[longer]] >= _LONGER * lengths[rows[shorter]]
            found.append(_encoded(rows[shorter[likely]], rows[longer[likely]]))
    pairs, counts = np.unique(np.concatenate(found), return_counts=True)
    pairs = pairs[counts >= _SHARED_ANCHORS]
    decoded = _decoded(pairs)
    shares = [_share(index.samples_of(a), index.samples_of(b)) for a, b in decoded.tolist()]
    return decoded[np.array(shares, float) >= matching.containment_threshold]


def told_apart(
    index: DuplicateIndex, near: Rows, contained: Rows, matching: Matching
) -> tuple[Rows, Rows]:
    """Return `near` without, and `contained` with, the near pairs of which one holds the other.

    Of n-gram sets A and B of similarity J, the share of A in B is J (|A| + |B|) / ((1 + J) |A|).
    """
    likeness = similarity(index, near)
    counts = index.num_words[near].astype(float) - (matching.ngram_size - 1)
    fewer, more = counts.min(1), counts.max(1)
    share = likeness / (1 + likeness) * (fewer + more) / fewer
    holds = (more >= _LONGER * fewer) & (share >= matching.containment_threshold)
    is_first = counts[holds, 0] < counts[holds, 1]
    held = np.where(is_first[:, None], near[holds], near[holds, ::-1])
    contained = _decoded(np.union1d(_encoded(*contained.T), _encoded(*held.T)))
    both = np.union1d(_encoded(*contained.T), _encoded(*contained.T[::-1]))
    return near[~np.isin(_encoded(*near.T), both)], contained


def neighbours(
    keys: NDArray[np.unsignedinteger], rows: Rows, window: int
) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs (earlier, later) of `rows` that have the same key; `rows` ascend.

    Each row is paired with the first one that has its key, and with `window` ones before it.
    """
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    for lag in range(1, window + 1):
        same = np.flatnonzero(keys[lag:] == keys[:-lag])
        if not len(same):
            return
        yield rows[same], rows[same + lag]
    firsts = np.searchsorted(keys, keys)
    far = np.flatnonzero(np.arange(len(keys)) - firsts > window)
    yield rows[firsts[far]], rows[far]


def _write_keys(index: DuplicateIndex, rows: Rows, matching: Matching, scratch: Path) -> list[Path]:
    """Write a file a band of the keys of all `rows`: uint64, shape (rows,)."""
    files = [scratch / f"band_{band:03d}.u64" for band in range(matching.num_bands)]
    for file in files:
        file.write_bytes(b"")
    for start in range(0, len(rows), _CHUNK):
        signatures = index.signatures[rows[start : start + _CHUNK]].astype(np.uint64)
        bands = signatures.reshape(len(signatures), matching.num_bands, -1)
        keys = combine(list(np.moveaxis(bands, 2, 0)))
        for band, file in enumerate(files):
            with file.open("ab") as stream:
                stream.write(keys[:, band].tobytes())
    return files


def similarity(index: DuplicateIndex, pairs: Rows) -> NDArray[np.float64]:
    """Return the estimated Jaccard similarity of each pair, shape (n,)."""
    return _similarity(index, _encoded(*pairs.T))


def _similarity(index: DuplicateIndex, codes: Rows) -> NDArray[np.float64]:
    found = [np.empty(0)]
    for start in range(0, len(codes), _CHUNK):
        one, other = _decoded(codes[start : start + _CHUNK]).T
        found.append((index.signatures[one] == index.signatures[other]).mean(1))
    return np.concatenate(found)


def _sampled(
    index: DuplicateIndex, matching: Matching
) -> Iterator[tuple[NDArray[np.uint32], Rows, NDArray[np.bool_]]]:
    """Yield the sampled n-grams by ranges, their rows, and whether they are anchors of these."""
    ends = index.sample_ends.astype(np.int64)
    counts = np.diff(ends, prepend=0)
    parts = -(-int(ends[-1] if len(ends) else 0) // _ENTRIES)
    for part in range(parts):
        low, high = ((1 << 32) * part // parts, (1 << 32) * (part + 1) // parts)
        taken = [
            _in_range(index, np.arange(start, min(start + _CHUNK, len(ends))), low, high)
            for start in range(0, len(ends), _CHUNK)
        ]
        keys, rows, places = (np.concatenate(column) for column in zip(*taken, strict=True))
        anchors = (places < _NUM_ANCHORS) & (counts[rows] >= matching.min_samples)
        yield keys, rows, anchors


def _in_range(
    index: DuplicateIndex, rows: Rows, low: int, high: int
) -> tuple[NDArray[np.uint32], Rows, Rows]:
    """Return the n-grams of consecutive `rows` in [low, high), their rows and places in those."""
    ends = index.sample_ends[rows].astype(np.int64)
    start = int(index.sample_ends[rows[0] - 1]) if rows[0] else 0
    keys = np.asarray(index.samples[start : int(ends[-1])])
    starts = np.concatenate([[start], ends[:-1]])
    places = np.arange(start, ends[-1]) - np.repeat(starts, ends - starts)
    inside = (keys >= low) & (keys < high)
    return keys[inside], np.repeat(rows, ends - starts)[inside], places[inside]


def _share(some: NDArray[np.uint32], others: NDArray[np.uint32]) -> float:
    """Return the share of `some` that is among `others`; both ascend."""
    places = np.minimum(np.searchsorted(others, some), len(others) - 1)
    return float((others[places] == some).mean())


def _codes(found: Iterator[tuple[Rows, Rows]], first_new: int) -> Rows:
    codes = np.empty(0, np.int64)
    for one, other in found:
        new = other >= first_new
        codes = np.union1d(codes, _encoded(one[new], other[new]))
    return codes


def _encoded(one: Rows, other: Rows) -> Rows:
    return one << 32 | other


def _decoded(codes: Rows) -> Rows:
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)
