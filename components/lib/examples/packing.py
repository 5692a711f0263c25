"""Best-fit packing: every document in as few sequences as can be, no token padded without need.

Ding et al. 2024, "Fewer Truncations Improve Language Modeling" (ICML, arXiv 2404.10830): a document
longer than a sequence is cut into full sequences and a rest; rests and shorter documents are packed
whole, longest first, each where it leaves the least room. `packing_report` says what that saves
against windows over the one long stream.
"""

# T = tokens of a sequence

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.base import Frozen
from components.lib.examples.documents import Documents
from components.lib.examples.shards import Sequences

Packing = Literal["stream", "best_fit"]
PACKING_REPORT = "packing.json"


class Pieces(NamedTuple):
    """Stretches of documents and the sequences that hold them, in the order of sequences."""

    starts: NDArray[np.int64]
    """Where in the split's stream of tokens each piece begins, (pieces,)."""
    lengths: NDArray[np.int64]
    """Its tokens, T at most."""
    firsts: NDArray[np.int64]
    """The first piece of each sequence, and the end, (sequences + 1,)."""

    @classmethod
    def packed(cls, document_starts: NDArray[np.int64], length: int) -> "Pieces":
        """Cut and pack the documents that begin at `document_starts`, whose last is the end.

        A pure function of both. Within a sequence pieces keep the order of the stream. Takes some
        100 bytes a piece.
        """
        starts, lengths = _cut(document_starts, length)
        sequence_of = best_fit(lengths, length)
        order = np.lexsort((starts, sequence_of))
        counts = np.bincount(sequence_of)
        firsts = np.cumsum(np.concatenate([[0], counts]))
        return cls(starts[order], lengths[order], firsts)


def best_fit(lengths: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """Return which bin each of `lengths` goes to, by best-fit decreasing, same shape.

    Bins with the same room left are alike, and so are pieces of the same length, so whole groups of
    them are placed at once: the steps grow with the number of lengths, not of pieces.
    """
    order = np.argsort(-lengths, kind="stable")
    bin_of = np.empty(len(lengths), np.int64)
    sizes, begins = np.unique(-lengths[order], return_index=True)
    groups = np.split(order, begins[1:])
    bins = _OpenBins(capacity)
    for size, group in zip((-sizes).tolist(), groups, strict=True):
        for chosen, into in bins.place(size, len(group)):
            bin_of[group[chosen]] = into
    return bin_of


class _OpenBins:
    """Bins by the room that is left in them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._with_room: list[list[NDArray[np.int64]]] = [[] for _ in range(capacity + 1)]
        self._rooms = 0  # bit r is set where there is a bin with room r
        self._num_bins = 0

    def place(self, size: int, number: int) -> Iterator[tuple[slice, NDArray[np.int64]]]:
        """Yield which of `number` pieces of `size` go into which bins."""
        done = 0
        while done < number:
            room, bins = self._tightest(size, number - done)
            fits = room // size  # once the tightest, a bin stays so until it is full
            into = np.repeat(bins, fits)[: number - done]
            full, rest = divmod(len(into), fits)
            self._keep(bins[:full], room - fits * size)
            if rest:
                self._keep(bins[full : full + 1], room - rest * size)
            yield slice(done, done + len(into)), into
            done += len(into)

    def _tightest(self, size: int, number: int) -> tuple[int, NDArray[np.int64]]:
        """Take out bins for at most `number` pieces of `size`: those with the least room for it."""
        rooms = self._rooms >> size
        if not rooms:
            bins = self._num_bins + np.arange(-(-number // (self._capacity // size)))
            self._num_bins += len(bins)
            return self._capacity, bins
        room = size + (rooms & -rooms).bit_length() - 1
        kept = self._with_room[room]
        bins, wanted = kept.pop(), -(-number // (room // size))
        if len(bins) > wanted:
            kept.append(bins[wanted:])
        if not kept:
            self._rooms &= ~(1 << room)
        return room, bins[:wanted]

    def _keep(self, bins: NDArray[np.int64], room: int) -> None:
        if len(bins) and room:
            self._with_room[room].append(bins)
            self._rooms |= 1 << room


def _cut(
    document_starts: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts and the lengths of all pieces of at most `length`, in stream order."""
    sizes = np.diff(document_starts)
    counts = -(-sizes // length)
    document = np.repeat(np.arange(len(sizes)), counts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = document_starts[document] + number * length
    ends = np.minimum(starts + length, document_starts[document + 1])
    return starts, ends - starts


class Packed(Frozen):
    """What one way of packing makes of a split."""

    packing: Packing
    """The way."""
    sequences: int
    """Sequences that it gives."""
    utilisation: float
    """Share of their positions that hold a token, 0 to 1; the others are padding."""
    cut: float
    """Share of the documents that no sequence holds as a whole, inputs and targets."""
    cut_needlessly: float
    """The same of the documents that would fit into a sequence; 0 if there is none."""
    tokens_lost: int
    """Tokens that no sequence holds."""


class PackingReport(Frozen):
    """What each way of packing makes of a split."""

    sequence_length: int
    """Tokens a sequence."""
    documents: int
    """Documents of the split."""
    tokens: int
    """Their tokens."""
    ways: tuple[Packed, ...]
    """The windows of the stream, if it has one, and best fit."""


def packing_report(folder: Path, sequence_length: int) -> PackingReport:
    """Return what packing makes of the split of token shards in `folder`.

    Raises:
        ValueError: there are no document boundaries beside the shards.
    """
    starts = np.asarray(Documents(folder).starts)
    stream = _of_stream(folder, starts, sequence_length)
    return PackingReport(
        sequence_length=sequence_length,
        documents=len(starts) - 1,
        tokens=int(starts[-1] - starts[0]),
        ways=(*stream, _of_best_fit(starts, sequence_length)),
    )


def _of_stream(folder: Path, starts: NDArray[np.int64], length: int) -> tuple[Packed, ...]:
    try:
        sequences = Sequences(folder, length)
    except ValueError:  # less than a window: best fit pads
        return ()
    is_cut = ~sequences.holds(starts[:-1], starts[1:])
    return (
        Packed(
            packing="stream",
            sequences=len(sequences),
            utilisation=1.0,
            **_shares(is_cut, starts, length),
            tokens_lost=int(starts[-1]) - sequences.num_held(),
        ),
    )


def _of_best_fit(starts: NDArray[np.int64], length: int) -> Packed:
    pieces = Pieces.packed(starts, length)
    num_sequences, held = len(pieces.firsts) - 1, int(pieces.lengths.sum())
    return Packed(
        packing="best_fit",
        sequences=num_sequences,
        utilisation=held / max(1, num_sequences * length),
        **_shares(np.diff(starts) > length + 1, starts, length),
        tokens_lost=int(starts[-1] - starts[0]) - held,
    )


def _shares(is_cut: NDArray[np.bool_], starts: NDArray[np.int64], length: int) -> dict[str, float]:
    would_fit = np.diff(starts) <= length + 1
    return {
        "cut": float(is_cut.sum()) / max(1, len(is_cut)),
        "cut_needlessly": float(is_cut[would_fit].sum()) / max(1, int(would_fit.sum())),
    }
