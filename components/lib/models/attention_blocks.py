"""Blocks of queries, and the keys that each meets: of whole sequences, or of their documents."""

# B = sequences, T = tokens of a sequence

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_NUM_BLOCKS = 2  # 4 were slower than 2 at 128 tokens, and no faster at 256
_LEAST_BLOCK, _MOST_BLOCK = 64, 256  # the latter of a document that shares its sequence
_BLOCK_COST = 30_000  # products of a query with a key that take as long as to begin a block
_DOCUMENTS = "bloomery_documents"  # attribute of a mask


class Block(NamedTuple):
    """Queries `start` to `end` and the keys `first` to `end` that any of them may see."""

    start: int
    end: int
    first: int
    row: int | None = None
    """The sequence that they are of; None for all sequences."""
    is_mixed: bool = True
    """Whether they may be of several documents, if the sequences have such."""

    def rows(self, each: int = 1) -> slice:
        """Return which rows of a tensor it is about that has `each` rows for a sequence."""
        return slice(None) if self.row is None else slice(self.row * each, (self.row + 1) * each)

    def area(self) -> int:
        """Return the products of a query with a key that it takes in each head of a sequence."""
        return (self.end - self.start) * (self.end - self.first)


class Documents(NamedTuple):
    """What a mask hides: all but the earlier tokens of the own document, within a window."""

    begins: tuple[tuple[int, ...], ...]
    """Where in each sequence a document begins."""
    window: int | None


def blocks_of(length: int, window: int | None, most: int | None = None) -> list[Block]:
    """Return blocks of all queries, of one size and of `most` queries if that is given."""
    size = max(_LEAST_BLOCK, -(-length // _NUM_BLOCKS))
    if most is not None and size > most:
        size = -(-length // -(-length // most))  # blocks of one size
    size = min(size, max(_LEAST_BLOCK, window or size))
    seen = window or length
    return [
        Block(start, min(start + size, length), max(0, start - seen + 1))
        for start in range(0, length, size)
    ]


@lru_cache(maxsize=64)
def blocks_of_documents(documents: Documents, length: int, num_heads: int) -> list[Block]:
    """Return blocks that meet few keys of other documents, or those of whole sequences if faster.

    Short documents side by side share a block.
    """
    found: list[Block] = []
    for row, begins in enumerate(documents.begins):
        for start, end, is_mixed in _runs(begins, length):
            inner = [Block(0, end - start, 0)]
            if not is_mixed:
                inner = blocks_of(end - start, documents.window, _MOST_BLOCK)
            found += [
                Block(start + b.start, start + b.end, start + b.first, row, is_mixed) for b in inner
            ]
    whole = blocks_of(length, documents.window)
    number = len(documents.begins)
    return min(found, whole, key=lambda blocks: _cost(blocks, number, num_heads))


def _runs(begins: tuple[int, ...], length: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the bounds of runs of documents, and whether a run has several."""
    start, has_several = 0, False
    for begin, end in pairwise((*begins, length)):
        if begin > start and end - start > _LEAST_BLOCK:
            yield start, begin, has_several
            start, has_several = begin, False
        has_several |= begin > start
    yield start, length, has_several


def _cost(blocks: list[Block], num_sequences: int, num_heads: int) -> int:
    times = [num_sequences if block.row is None else 1 for block in blocks]
    area = sum(block.area() * n for block, n in zip(blocks, times, strict=True))
    return area * num_heads + _BLOCK_COST * len(blocks)


def documents_of(mask: Tensor | None, window: int | None) -> Documents | None:
    """Return what a mask is known to hide; compiled, nothing: each batch would be another code."""
    if mask is None or torch.compiler.is_compiling():
        return None
    found: Documents | None = getattr(mask, _DOCUMENTS, None)
    return found if found is not None and found.window == window else None


def note_documents(mask: Tensor, window: int | None) -> None:
    """Note on a mask (B, 1, T, T), true where a key is seen, which documents it is made of."""
    seen = mask[:, 0]  # (B, T, T)
    begins = F.pad(~seen.diagonal(-1, 1, 2), (1, 0), value=True)  # (B, T)
    of = begins.cumsum(1)
    places = torch.arange(mask.shape[-1], device=mask.device)
    distance = places[:, None] - places
    expected = (of[:, :, None] == of[:, None]) & (distance >= 0)
    if window:
        expected &= distance < window
    if torch.equal(expected, seen):
        rows = tuple(tuple(row.nonzero()[:, 0].tolist()) for row in begins)
        setattr(mask, _DOCUMENTS, Documents(rows, window))
