"""Decontaminate: documents -> documents that share no run of words with what a model is asked."""

import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import DocumentShards, EvaluationSets
from components.core.component import Component
from components.core.files import link_or_copy
from components.data.document import Document
from components.data.overlap.index import Overlap
from components.data.overlap.items import Search, evaluation_items
from components.data.overlap.passages import Shared, search
from components.data.overlap.planted import measure, require_recall
from components.data.pieces import (
    KEPT,
    PIECE_BYTES,
    REJECTS,
    Piece,
    Sieve,
    cut,
    gathered,
    kept_files,
    work_through,
)

_INDEX = ".index"
_MAX_FRAGMENTS = 10  # Brown et al. 2020: a document that falls into more is dropped
_SAMPLED_CHARACTERS = 10_000  # of a document that items are planted among


class DecontaminateInputs(Frozen):
    """What `Decontaminate` reads."""

    documents: DocumentShards
    """Documents that may hold evaluation items."""
    evaluation: EvaluationSets
    """What a model will be asked."""


class Decontaminate(Component[DecontaminateInputs, DocumentShards]):
    """Drop or cut what shares 13 words in a row with an evaluation item (Brown et al. 2020).

    Before it counts, the search must find items that are planted for it: re-wrapped, re-cased,
    re-punctuated, embedded (`planted.json`). A reject says which items it overlaps, and the words.
    """

    version: ClassVar[str] = "1.0.1"

    search: Search = Search()
    """What counts as an overlap."""
    action: Literal["drop_document", "cut_out"] = "drop_document"
    """Whether the whole document goes, or what it shares; the rest is kept in fragments."""
    margin_characters: int = Field(default=200, ge=0)
    """What is cut with an overlap on either side."""
    min_fragment_characters: int = Field(default=200, ge=1)
    """Shorter fragments are not kept."""

    def run(self, inputs: DecontaminateInputs, out: Path) -> DocumentShards:
        """Write the documents that stay, and those that do not with the reason.

        Raises:
            ValueError: planted items are not found.
        """
        for old in out.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        index, pieces = (
            self.search.index(inputs.evaluation),
            cut(kept_files(inputs.documents), PIECE_BYTES),
        )
        if self.search.common_in is not None:
            index.save(out / _INDEX)
            counts = work_through(f"{__name__}:count", pieces, out, {})
            index = self.search.without_common(index, counts)
        around = _spread(pieces, 2 * self.search.num_planted)
        measured = measure(self.search, index, evaluation_items(inputs.evaluation), around)
        measured.write(out)
        require_recall(self.search, measured.rows)
        if len(index):
            index.save(out / _INDEX)
            answers = work_through(f"{__name__}:sift", pieces, out, self.model_dump(mode="json"))
            found = gathered(out, answers)
        else:
            found = _passed_on(inputs.documents, out)
        shutil.rmtree(out / _INDEX, ignore_errors=True)
        counts = index.summary() | found.counts
        return found.model_copy(update={"counts": counts, "planted": measured.rows})

    def fragments(self, text: str, passages: list[tuple[int, int]]) -> list[str]:
        """Return what is left of a text without its passages and their margins."""
        kept, after = list[str](), 0
        for start, end in [*passages, (len(text) + self.margin_characters, len(text))]:
            fragment = text[after : max(after, start - self.margin_characters)].strip()
            if len(fragment) >= self.min_fragment_characters:
                kept.append(fragment)
            after = max(after, end + self.margin_characters)
        return kept if len(kept) <= _MAX_FRAGMENTS else []


def count(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, int]:
    """Count the documents of a piece that hold an n-gram."""
    return Overlap.load(out / _INDEX).documents_with(d.text for d in piece.documents())


def sift(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Keep the documents of a piece that hold no n-gram, and the fragments of others if asked."""
    step, index = Decontaminate.model_validate(payload), Overlap.load(out / _INDEX)
    with Sieve(piece, out) as sieve:
        documents = ((document, document.text) for document in piece.documents())
        for document, found in search(index, documents):
            if found:
                sieve.drop(_named(document, found), f"overlaps {found.sets[0]}")
                if step.action == "cut_out":
                    _keep_fragments(sieve, document, step.fragments(document.text, found.passages))
            else:
                sieve.keep(document)
    return sieve.answer()


def _named(document: Document, found: Shared) -> Document:
    """Return a document that says what it shares with which items."""
    known = {"evaluation_items": found.items, "matching_words": found.words}
    return document.model_copy(update={"metadata": document.metadata | known})


def _keep_fragments(sieve: Sieve, document: Document, fragments: list[str]) -> None:
    for number, text in enumerate(fragments):
        name = f"{document.id}#{number}"
        sieve.keep(document.model_copy(update={"id": name, "text": text}))
        sieve.counts["fragments"] += 1


def _spread(pieces: Sequence[Piece], number: int) -> list[str]:
    """Return the beginnings of about so many documents, of every piece as many."""
    of_each = -(-number // max(1, len(pieces)))
    return [
        document.text[:_SAMPLED_CHARACTERS]
        for piece in pieces[:: max(1, len(pieces) // number)]
        for document in islice(piece.documents(), of_each)
    ]


def _passed_on(documents: DocumentShards, out: Path) -> DocumentShards:
    """Give the documents new names, or copies where the file system has no second name for them."""
    for folder in (KEPT, REJECTS):
        (out / folder).mkdir()
    for file in kept_files(documents):
        link_or_copy(file, out / KEPT / file.name)
    return DocumentShards(
        path=out,
        num_documents=documents.num_documents,
        num_bytes=documents.num_bytes,
        dropped={},
        by_source={
            source: count.model_copy(update={"dropped": {}})
            for source, count in documents.by_source.items()
        },
    )
