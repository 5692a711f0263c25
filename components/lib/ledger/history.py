"""The history of a pretraining: which documents each step saw, from its ledger and its data."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from components.core.files import sha256
from components.core.record import read_record
from components.lib.examples.documents import Documents, Part
from components.lib.examples.permutation import draw, drawn_at, examples_at
from components.lib.examples.replayed import replayed
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


class _Text(NamedTuple):
    """One of the texts that were read: token shards and what they hold."""

    shards: Path
    documents: Documents
    """Of the train split."""
    stream: Stream
    """Its tokens."""

    @classmethod
    def of(cls, shards: Path) -> "_Text":
        return cls(shards, Documents(shards / "train"), Stream(shards / "train"))


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
        again = self._record.inputs.get("replay")
        config = self._record.config
        # a record from before there was a choice names no architecture and no packing
        architecture = config.get("architecture", "llama")
        if ARCHITECTURES[architecture].reads_both_ways:
            raise ValueError(
                f"{folder} is an encoder. Its examples are pairs of stretches, whose documents are "
                f"not traced; {LEDGER} still proves the order of the data."
            )
        self._examples = replayed(
            self._shards,
            again.path if again else None,
            config.get("replay_share", 0.0),
            config["sequence_length"],
            config.get("packing", "stream"),
            config.get("document_mask", False),
        )
        self._texts = [_Text.of(self._shards)] + ([_Text.of(again.path)] if again else [])
        self._batch_size, self._seed = self.entries[0].examples, config["training"]["seed"]

    def overview(self) -> Overview:
        """Sum up what was seen."""
        examples = sum(entry.examples for entry in self.entries)
        seen, tokens, num_again = self._seen_windows()
        pairs = list(zip(self._examples.texts, self._texts, seen, strict=True))
        return Overview(
            fingerprint=self._record.fingerprint,
            path=str(self._folder),
            steps=len(self.entries),
            examples=examples,
            replayed=num_again,
            tokens=tokens,
            epochs=examples / len(self._examples),
            documents=sum(len(text.documents) for text in self._texts),
            documents_seen=sum(w.documents_in(text.documents, own) for w, text, own in pairs),
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
        indices = draw(entry.draw, entry.examples, len(self._examples), self._seed)
        self._check(entry, indices)
        return StepSeen(
            **entry._asdict(),
            tokens=self._examples.num_tokens(indices),
            verified=True,
            documents=tuple(self._seen_documents(indices)),
        )

    def document(self, name: str) -> DocumentSeen | DocumentDropped:
        """Return every step that saw the document with the id `name`, or what dropped it.

        Raises:
            ValueError: no split holds such a document, and no step dropped it.
        """
        if (there := self._find(name)) is None:
            for text in self._texts:
                if (gone := dropped(text.shards, name)) is not None:
                    return gone
            raise ValueError(self._unknown(name))
        text, split, documents, found = there
        parts: list[Part] = []
        if split == "train":
            windows = self._examples.texts[text]
            parts = [part for n in found for part in windows.parts_of(documents, n)]
        return DocumentSeen(
            id=name,
            source=_source(name),
            split=split,
            tokens=sum(documents.length(index) for index in found),
            windows=len(parts),
            steps=len(self.entries),
            sightings=tuple(self._sightings(text, parts)),
        )

    def _find(self, name: str) -> tuple[int, str, Documents, list[int]] | None:
        for number, text in enumerate(self._texts):
            for split in _SPLITS:
                documents = Documents(text.shards / split)
                if found := documents.find(name):
                    return number, split, documents, found
        return None

    def _unknown(self, name: str) -> str:
        hints = ", ".join(hint for text in self._texts for hint in text.documents.similar(name))
        return f"No document {name!r} in {self._shards}. " + (
            f"Did you mean one of these: {hints}?" if hints else "No id is similar."
        )

    def _sightings(self, text: int, parts: list[Part]) -> list[Sighting]:
        places = [
            (part, index)
            for part in parts
            for index in self._examples.indices_of(text, part.window).tolist()
        ]
        indices = np.array([index for _, index in places], np.int64)
        num_draws = self.entries[-1].draw + 1
        draws = drawn_at(indices, num_draws, self._batch_size, len(self._examples), self._seed)
        steps = {entry.draw: entry.step for entry in self.entries}
        sightings = [
            Sighting(step=steps[found], part=_seen_part(part))
            for (part, _), at in zip(places, draws, strict=True)
            for found in at.tolist()
            if found in steps
        ]
        return sorted(sightings, key=lambda seen: (seen.step, seen.part.window))

    def _check(self, entry: Entry, indices: NDArray[np.int64]) -> None:
        found = f"{batch_hash(self._examples.batch(indices)) % (1 << 64):016x}"
        if found != entry.batch:
            raise ValueError(
                f"Step {entry.step} did not see what these shards hold: the ledger recorded batch "
                f"{entry.batch}, {self._shards} gives {found}. The shards or the order of the data "
                f"changed since: remove {self._folder} to train again."
            )

    def _seen_documents(self, indices: NDArray[np.int64]) -> list[SeenDocument]:
        tokenizer_file = self._record.inputs["vocabulary"].path / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        of, windows = self._examples.found(indices)
        return [
            found
            for number, text in enumerate(self._texts)
            for found in self._seen_in(number, text, windows[of == number], tokenizer)
        ]

    def _seen_in(
        self, number: int, text: _Text, windows: NDArray[np.int64], tokenizer: Tokenizer
    ) -> list[SeenDocument]:
        """Return the documents that some windows of a text hold, in the order of its split."""
        parts = dict[int, list[Part]]()
        for window in np.unique(windows).tolist():
            for part in self._examples.texts[number].parts_in(text.documents, window):
                parts.setdefault(part.document, []).append(part)
        names = text.documents.ids(list(parts))
        return [
            SeenDocument(
                id=name,
                source=_source(name),
                tokens=text.documents.length(document),
                parts=tuple(map(_seen_part, found)),
                snippet=_snippet(text, tokenizer, found[0]),
            )
            for name, (document, found) in zip(names, parts.items(), strict=True)
        ]

    def _seen_windows(self) -> tuple[list[NDArray[np.bool_]], int, int]:
        """Return which windows of each text were drawn at all, (windows,) each.

        And the tokens of all draws, and how many of these were of a text that is read again.
        """
        seen = [np.zeros(len(windows), bool) for windows in self._examples.texts]
        tokens = num_again = 0
        draws = np.array([entry.draw for entry in self.entries])
        within = np.arange(self._batch_size)
        num_chunks = -(-len(draws) * self._batch_size // self._positions_at_once)
        for chunk in np.array_split(draws, num_chunks):
            positions = (chunk[:, None] * self._batch_size + within).ravel()
            drawn = examples_at(positions, len(self._examples), self._seed)
            of, windows = self._examples.found(drawn)
            for number, own in enumerate(seen):
                own[windows[of == number]] = True
            tokens += self._examples.num_tokens(drawn)
            num_again += int(of.sum())
        return seen, tokens, num_again


def _snippet(text: _Text, tokenizer: Tokenizer, part: Part) -> str:
    begins = int(text.documents.starts[part.document])
    start, end = begins + part.start, begins + part.end
    ids = text.stream.read(start, min(end, start + _SNIPPET_TOKENS))
    words = " ".join(tokenizer.decode(ids.tolist()).split())
    cut = words[:_SNIPPET_CHARACTERS]
    return cut if cut == words and len(ids) == part.end - part.start else f"{cut}..."


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
