"""Which documents the tokens of a split come from."""

import difflib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.lib.examples.shards import Sequences

DOCUMENT_STARTS = "document_starts.npy"
"""int64, (documents + 1,): where each document begins in the stream of tokens, and the end."""
DOCUMENT_IDS = "document_ids.jsonl"
"""The id of each document, one JSON string a line."""

_NUM_HINTS = 5
_COMPARED = 20_000  # ids that are compared letter by letter: some seconds


class Part(NamedTuple):
    """The tokens of a document that one window holds."""

    document: int
    """Index of the document in the split."""
    window: int
    """Index of the window."""
    start: int
    """First token of the document that it holds."""
    end: int
    """The one after the last."""


class Documents:
    """The documents of a split, as `Tokenize` listed them beside its shards."""

    def __init__(self, folder: Path) -> None:
        """Map the index in `folder`.

        Raises:
            ValueError: there is none.
        """
        if not (folder / DOCUMENT_STARTS).exists():
            raise ValueError(
                f"{folder} has no {DOCUMENT_STARTS}: data.tokenize wrote it from version 1.1.0 on. "
                "Run the flow again to make these shards again."
            )
        self._folder = folder
        self.starts = np.load(folder / DOCUMENT_STARTS, mmap_mode="r")

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.starts) - 1

    def length(self, document: int) -> int:
        """Return the tokens of a document, its end-of-text included."""
        return int(self.starts[document + 1] - self.starts[document])

    def ids(self, documents: list[int]) -> list[str]:
        """Return the ids of the documents with these indices."""
        wanted, last = set(documents), max(documents, default=-1)
        found = {n: name for n, name in enumerate(islice(self._ids(), last + 1)) if n in wanted}
        return [found[document] for document in documents]

    def find(self, name: str) -> list[int]:
        """Return the indices of the documents with this id: one, unless two sources share it."""
        return [index for index, found in enumerate(self._ids()) if found == name]

    def similar(self, name: str) -> list[str]:
        """Return a few ids that look like this one, the most similar first."""
        holds = (found for found in self._ids() if name.casefold() in found.casefold())
        if hints := list(islice(holds, _NUM_HINTS)):
            return hints
        return difflib.get_close_matches(name, list(islice(self._ids(), _COMPARED)), _NUM_HINTS)

    def in_window(self, sequences: Sequences, window: int) -> list[Part]:
        """Return the parts of documents that a window holds, inputs and targets, in order."""
        start = int(sequences.positions(np.array([window]))[0])
        end = start + sequences.length + 1
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        after = int(np.searchsorted(self.starts, end, side="left"))
        return [self._part(document, window, start, end) for document in range(first, after)]

    def parts(self, sequences: Sequences, document: int) -> list[Part]:
        """Return what each window holds of a document.

        Neighbours share a token, the last target of one and the first input of the next. The rest
        of a shard, too short for a window, is in none.
        """
        first, after = sequences.holding(
            self.starts[document : document + 1], self.starts[document + 1 : document + 2]
        )
        windows = np.arange(int(first[0]), int(after[0]))
        starts = sequences.positions(windows).tolist()
        return [
            self._part(document, window, start, start + sequences.length + 1)
            for window, start in zip(windows.tolist(), starts, strict=True)
        ]

    def _part(self, document: int, window: int, start: int, end: int) -> Part:
        begins, ends = self.starts[document : document + 2].tolist()
        return Part(document, window, max(start, begins) - begins, min(end, ends) - begins)

    def _ids(self) -> Iterator[str]:
        with (self._folder / DOCUMENT_IDS).open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)
