"""The history of a pretraining: which documents each step saw, from its ledger and its data."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from components.core.files import sha256
from components.core.record import read_record
from components.lib.examples.documents import Documents, Part
from components.lib.examples.packed import sequences_of
from components.lib.examples.permutation import draw, drawn_at, examples_at
from components.lib.examples.shards import Stream
from components.lib.ledger.chain import LEDGER, Entry, batch_hash, read
from components.lib.ledger.dropped import dropped
from components.lib.ledger.seen import (
    DocumentDropped,
    DocumentSeen,
    Overview,
    SeenDocument,
    SeenPart,
    Sighting,
    StepSeen,
)
from components.lib.models.architectures.named import ARCHITECTURES

_SPLITS = ("train", "validation", "test")
_SNIPPET_TOKENS = 48
_SNIPPET_CHARACTERS = 80


class History:
    """The history of one pretraining: answers are computed from the ledger, nothing is scanned."""

    def __init__(self, folder: Path, positions_at_once: int = 1 << 20) -> None:
        """Read the ledger of the artifact in `folder`.

        So many positions of the order of the data are looked up at once: a million take 100 MB.

        Raises:
            ValueError: there is no ledger, or it is not the one that was written.
        """
        self._record, self._folder = read_record(folder), folder
        self._positions_at_once = positions_at_once
        self.entries = _proved(folder, self._record.files.get(LEDGER))
        self._shards = self._record.inputs["shards"].path
        config = self._record.config
        # a record from before there was a choice names no architecture and no packing
        architecture = config.get("architecture", "llama")
        if ARCHITECTURES[architecture].reads_both_ways:
            raise ValueError(
                f"{folder} is an encoder. Its examples are pairs of stretches, whose documents are "
                f"not traced; {LEDGER} still proves the order of the data."
            )
        self._windows = sequences_of(
            self._shards / "train",
            config["sequence_length"],
            config.get("packing", "stream"),
            config.get("document_mask", False),
        )
        self._stream = Stream(self._shards / "train")
        self._documents = Documents(self._shards / "train")
        self._batch_size, self._seed = self.entries[0].examples, config["training"]["seed"]

    def overview(self) -> Overview:
        """Sum up what was seen."""
        examples = sum(entry.examples for entry in self.entries)
        seen, tokens = self._seen_windows()
        return Overview(
            fingerprint=self._record.fingerprint,
            path=str(self._folder),
            steps=len(self.entries),
            examples=examples,
            tokens=tokens,
            epochs=examples / len(self._windows),
            documents=len(self._documents),
            documents_seen=self._windows.documents_in(self._documents, seen),
            skipped_draws=_gaps([entry.draw for entry in self.entries]),
            chain=self.entries[-1].chain,
        )

    def step(self, number: int) -> StepSeen:
        """Return what step `number` (from 1) saw.

        Raises:
            ValueError: there is no such step, or the shards do not give what the ledger recorded.
        """
        if not 1 <= number <= len(self.entries):
            raise ValueError(
                f"No step {number}: {self._folder} has taken steps 1 to {len(self.entries)}."
            )
        entry = self.entries[number - 1]
        indices = draw(entry.draw, entry.examples, len(self._windows), self._seed)
        self._check(entry, indices)
        return StepSeen(
            **entry._asdict(),
            tokens=self._windows.num_tokens(indices),
            verified=True,
            documents=tuple(self._seen_documents(indices)),
        )

    def document(self, name: str) -> DocumentSeen | DocumentDropped:
        """Return every step that saw the document with the id `name`, or what dropped it.

        Raises:
            ValueError: no split holds such a document, and no step dropped it.
        """
        if (there := self._find(name)) is None:
            if (gone := dropped(self._shards, name)) is not None:
                return gone
            raise ValueError(self._unknown(name))
        split, documents, found = there
        parts: list[Part] = []
        if split == "train":
            parts = [part for n in found for part in self._windows.parts_of(documents, n)]
        return DocumentSeen(
            id=name,
            source=_source(name),
            split=split,
            tokens=sum(documents.length(index) for index in found),
            windows=len(parts),
            steps=len(self.entries),
            sightings=tuple(self._sightings(parts)),
        )

    def _find(self, name: str) -> tuple[str, Documents, list[int]] | None:
        for split in _SPLITS:
            documents = Documents(self._shards / split)
            if found := documents.find(name):
                return split, documents, found
        return None

    def _unknown(self, name: str) -> str:
        hints = ", ".join(self._documents.similar(name))
        return f"No document {name!r} in {self._shards}. " + (
            f"Did you mean one of these: {hints}?" if hints else "No id is similar."
        )

    def _sightings(self, parts: list[Part]) -> list[Sighting]:
        windows = np.array([part.window for part in parts], np.int64)
        num_draws = self.entries[-1].draw + 1
        draws = drawn_at(windows, num_draws, self._batch_size, len(self._windows), self._seed)
        steps = {entry.draw: entry.step for entry in self.entries}
        sightings = [
            Sighting(step=steps[found], part=_seen_part(part))
            for part, at in zip(parts, draws, strict=True)
            for found in at.tolist()
            if found in steps
        ]
        return sorted(sightings, key=lambda seen: (seen.step, seen.part.window))

    def _check(self, entry: Entry, indices: NDArray[np.int64]) -> None:
        found = f"{batch_hash(self._windows.batch(indices)) % (1 << 64):016x}"
        if found != entry.batch:
            raise ValueError(
                f"Step {entry.step} did not see what these shards hold: the ledger recorded batch "
                f"{entry.batch}, {self._shards} gives {found}. The shards or the order of the data "
                f"changed since: remove {self._folder} to train again."
            )

    def _seen_documents(self, indices: NDArray[np.int64]) -> list[SeenDocument]:
        tokenizer_file = self._record.inputs["vocabulary"].path / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        parts = dict[int, list[Part]]()
        for window in np.unique(indices).tolist():
            for part in self._windows.parts_in(self._documents, window):
                parts.setdefault(part.document, []).append(part)
        names = self._documents.ids(list(parts))
        return [
            SeenDocument(
                id=name,
                source=_source(name),
                tokens=self._documents.length(document),
                parts=tuple(map(_seen_part, found)),
                snippet=self._snippet(tokenizer, found[0]),
            )
            for name, (document, found) in zip(names, parts.items(), strict=True)
        ]

    def _snippet(self, tokenizer: Tokenizer, part: Part) -> str:
        begins = int(self._documents.starts[part.document])
        start, end = begins + part.start, begins + part.end
        ids = self._stream.read(start, min(end, start + _SNIPPET_TOKENS))
        text = " ".join(tokenizer.decode(ids.tolist()).split())
        cut = text[:_SNIPPET_CHARACTERS]
        return cut if cut == text and len(ids) == part.end - part.start else f"{cut}..."

    def _seen_windows(self) -> tuple[NDArray[np.bool_], int]:
        """Return which windows were drawn at all, (windows,), and the tokens of all draws."""
        seen, tokens = np.zeros(len(self._windows), bool), 0
        draws = np.array([entry.draw for entry in self.entries])
        within = np.arange(self._batch_size)
        num_chunks = -(-len(draws) * self._batch_size // self._positions_at_once)
        for chunk in np.array_split(draws, num_chunks):
            positions = (chunk[:, None] * self._batch_size + within).ravel()
            drawn = examples_at(positions, len(seen), self._seed)
            seen[drawn] = True
            tokens += self._windows.num_tokens(drawn)
        return seen, tokens


def _proved(folder: Path, recorded: str | None) -> list[Entry]:
    """Return the ledger in `folder`, after checking it against the sha256 of the record."""
    if not (entries := read(folder)):
        raise ValueError(
            f"{folder} has no {LEDGER}: it was trained before there were ledgers. "
            "Run the flow again to train it with one."
        )
    if recorded and sha256(folder / LEDGER) != recorded:
        raise ValueError(
            f"{folder / LEDGER} is not the file that the training wrote: its sha256 differs from "
            f"the record's. Remove {folder} to train again."
        )
    if len({entry.examples for entry in entries}) > 1:
        raise ValueError(f"{folder / LEDGER} has batches of several sizes: their order is unknown.")
    return entries


def _gaps(draws: list[int]) -> tuple[tuple[int, int], ...]:
    pairs = pairwise([-1, *draws])
    return tuple((before + 1, after - 1) for before, after in pairs if after > before + 1)


def _source(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def _seen_part(part: Part) -> SeenPart:
    return SeenPart(window=part.window, start=part.start, end=part.end)
