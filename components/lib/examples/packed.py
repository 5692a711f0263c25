"""Examples of the next-token objective: documents packed whole into sequences, as best they fit."""

# B = examples, T = tokens of an example

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.lib.examples.documents import Documents, Part
from components.lib.examples.packing import Packing, Pieces
from components.lib.examples.shards import Stream
from components.lib.examples.windows import Windows, positions

if TYPE_CHECKING:
    from components.lib.examples.batches import Batch


class PackedDocuments:
    """Examples of the next-token objective: sequences of whole documents, or full of one.

    Every token of the split is an input in exactly one place. Its target is the next token of the
    document, also where that is in another sequence. After the end of a document it is the first
    token of the next one of the sequence, if there is one, unless documents are masked.
    """

    def __init__(self, folder: Path, sequence_length: int, document_mask: bool = False) -> None:
        """Pack the documents of the shards of `folder`: a pure function of where they begin.

        With `document_mask` positions begin again at 0 in each document, and no document's first
        token is predicted from the one before.

        Raises:
            ValueError: there are no documents, or the shards do not say where they begin.
        """
        self._stream, self._length, self._masked = Stream(folder), sequence_length, document_mask
        self._starts = np.asarray(Documents(folder).starts)
        if self._starts[-1] != len(self._stream) or len(self._stream) == 0:
            raise ValueError(
                f"{folder} has {len(self._stream)} tokens, and documents up to token "
                f"{self._starts[-1]}. Add documents with `bloomery data add` if there are none; "
                "else remove the folder and run the flow again."
            )
        self.pieces = Pieces.packed(self._starts, sequence_length)
        self._num_tokens = np.add.reduceat(self.pieces.lengths, self.pieces.firsts[:-1])

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.pieces.firsts) - 1

    def batch(self, indices: NDArray[np.int64]) -> "Batch":
        """Return the chosen sequences, padded to T; padding has no loss."""
        from components.lib.examples.batches import IGNORED, POSITIONS, Batch

        inputs = np.zeros((len(indices), self._length), np.int64)
        targets = np.full_like(inputs, IGNORED)
        begins = np.zeros(inputs.shape, bool)
        lengths = np.empty(len(indices), np.int64)
        for row, index in enumerate(indices.tolist()):
            lengths[row] = self._fill(index, inputs[row], targets[row], begins[row])
        extras = {POSITIONS: positions(begins)} if self._masked else {}
        return Batch(inputs, targets, extras, lengths)

    def _fill(
        self,
        index: int,
        inputs: NDArray[np.int64],
        targets: NDArray[np.int64],
        begins: NDArray[np.bool_],
    ) -> int:
        """Write a sequence into its row of a batch, each (T,), and return its tokens."""
        at = 0
        for start, length, is_last in self._pieces_of(index):
            tokens = self._stream.read(start, start + length + (not is_last))
            if at and not self._masked:
                targets[at - 1] = tokens[0]
            inputs[at : at + length], begins[at] = tokens[:length], True
            targets[at : at + len(tokens) - 1] = tokens[1:]
            at += length
        begins[at:] = True  # padding belongs to no document
        return at

    def _pieces_of(self, index: int) -> list[tuple[int, int, bool]]:
        """Return start, length, and whether its document ends with it, of a sequence's pieces."""
        first, after = self.pieces.firsts[index : index + 2].tolist()
        starts, lengths = self.pieces.starts[first:after], self.pieces.lengths[first:after]
        ends = starts + lengths
        is_last = self._starts[np.searchsorted(self._starts, ends)] == ends
        return list(zip(starts.tolist(), lengths.tolist(), is_last.tolist(), strict=True))

    def num_tokens(self, indices: NDArray[np.int64]) -> int:
        """Return how many tokens the chosen sequences hold in all."""
        return int(self._num_tokens[indices].sum())

    def parts_in(self, documents: Documents, sequence: int) -> list[Part]:
        """Return the parts of documents whose tokens are a sequence's inputs, in order."""
        pieces = range(*self.pieces.firsts[sequence : sequence + 2].tolist())
        return [self._part(documents, sequence, piece) for piece in pieces]

    def parts_of(self, documents: Documents, document: int) -> list[Part]:
        """Return what each sequence holds of a document, its parts in order."""
        first, after = documents.starts[document : document + 2].tolist()
        starts = self.pieces.starts
        found = np.flatnonzero((starts >= first) & (starts < after))
        sequences = np.searchsorted(self.pieces.firsts, found, side="right") - 1
        pairs = zip(sequences.tolist(), found.tolist(), strict=True)
        return sorted((self._part(documents, *pair) for pair in pairs), key=lambda part: part.start)

    def documents_in(self, documents: Documents, seen: NDArray[np.bool_]) -> int:
        """Return how many documents have a token in a sequence that was `seen`, (sequences,)."""
        starts = self.pieces.starts[np.repeat(seen, np.diff(self.pieces.firsts))]
        return len(np.unique(np.searchsorted(documents.starts, starts, side="right")))

    def _part(self, documents: Documents, sequence: int, piece: int) -> Part:
        start, length = int(self.pieces.starts[piece]), int(self.pieces.lengths[piece])
        document = int(np.searchsorted(documents.starts, start, side="right")) - 1
        within = start - int(documents.starts[document])
        return Part(document, sequence, within, within + length)


def sequences_of(
    folder: Path, sequence_length: int, packing: Packing = "stream", document_mask: bool = False
) -> Windows | PackedDocuments:
    """Return the sequences that a decoder is pretrained on.

    Raises:
        ValueError: there are none, or the shards do not say where documents begin.
    """
    kind = Windows if packing == "stream" else PackedDocuments
    return kind(folder, sequence_length, document_mask)
