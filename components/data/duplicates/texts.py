"""The texts of the rows of an index, read from the files that the documents lie in.

Few rows are asked for, so that nothing but where lines begin is kept.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.document import num_lines
from components.data.duplicates.pairs import Rows
from components.data.pieces import Piece

_NOWHERE = -1


class RowTexts:
    """Reads what rows say: of those that were known, of those alone that were kept."""

    def __init__(self, known_files: Sequence[Path], before: Rows) -> None:
        """Read known rows from the files of what was kept, one document a line, in order."""
        sizes = [file.stat().st_size for file in known_files]
        self._pieces = [
            Piece(number=number, file=str(file), start=0, end=size)
            for number, (file, size) in enumerate(zip(known_files, sizes, strict=True))
        ]
        self._sizes = [num_lines(file) for file in known_files]
        self._starts: dict[int, NDArray[np.int64]] = {}
        kept = np.flatnonzero(before == np.arange(len(before)))
        self._places = np.full(len(before), _NOWHERE)
        self._places[kept] = np.arange(len(kept))

    def add(
        self, pieces: Sequence[Piece], sizes: Sequence[int], is_first: NDArray[np.bool_]
    ) -> None:
        """Read new rows from the first documents with their texts, of `sizes` in each piece."""
        new = np.flatnonzero(is_first) + sum(self._sizes)
        self._places = np.concatenate([self._places, new])
        self._pieces += pieces
        self._sizes += sizes
        self._ends = np.cumsum(self._sizes)

    def __call__(self, row: int) -> str:
        """Return the text of a row."""
        place = int(self._places[row])
        assert place != _NOWHERE, f"row {row} was left out before"
        number = int(np.searchsorted(self._ends, place, side="right"))
        piece = self._pieces[number]
        if number not in self._starts:
            self._starts[number] = _line_starts(piece)
        starts = self._starts[number]
        with Path(piece.file).open("rb") as lines:
            lines.seek(int(starts[place - int(self._ends[number]) + self._sizes[number]]))
            return json.loads(lines.readline())["text"]


def _line_starts(piece: Piece) -> NDArray[np.int64]:
    """Return where the lines of a piece begin in its file."""
    with Path(piece.file).open("rb") as lines:
        lines.seek(piece.start)
        lengths: list[int] = []
        left = piece.end - piece.start
        while left > 0:
            lengths.append(len(lines.readline()))
            left -= lengths[-1]
    return piece.start + np.cumsum([0, *lengths[:-1]], dtype=np.int64)
