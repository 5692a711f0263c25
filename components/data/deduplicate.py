"""Deduplicate: documents -> documents of which no two have the same text, or nearly."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import DocumentShards, Planted
from components.core.component import Component
from components.core.files import link_or_copy, write_json
from components.data.document import write_lines
from components.data.duplicates.find import Duplicates, LeftOut, find_duplicates
from components.data.duplicates.minhash import Matching
from components.data.duplicates.planted import (
    NUM_POOLS,
    measure,
    require_found,
    require_kept,
    write_report,
)
from components.data.duplicates.templates import TEMPLATES
from components.data.pieces import (
    KEPT,
    PIECE_BYTES,
    Piece,
    Sieve,
    cut,
    gathered,
    kept_files,
    work_through,
)

_INDEX, _SCRATCH = "index", "scratch"
_SAMPLED_CHARACTERS = 20_000


class Order(NamedTuple):
    """What is done with the documents of a piece."""

    piece: Piece
    verdicts: dict[int, LeftOut]
    """What is left out, by place in the piece."""
    sampled: list[int]
    """Places of documents whose text serves for planting."""


class DeduplicateInputs(Frozen):
    """What is deduplicated, and against what."""

    documents: DocumentShards
    """Documents, the new ones if some are known."""
    known: DocumentShards | None = None
    """What an earlier Deduplicate kept: it comes first, and is not sketched again."""


class Deduplicate(Matching, Component[DeduplicateInputs, DocumentShards]):
    """Keep the first of the documents that have one text, nearly one, or lie in another.

    Documents of one template stay if what they say differs: in a number, an operator, a name, a
    negation, or the words of content.

    Writes `kept/` and `rejects/`, whose rows say `of` which document they are duplicates;
    `index/`, which a later run takes as `known`; `planted.json`, how well it finds what was
    planted; and `templates.json`, the most frequent templates whose documents were kept. What is
    known stays, as if all had come at once: before the new documents, without those that a new one
    holds.
    """

    version: ClassVar[str] = "3.0.1"

    num_planted: int = Field(default=200, ge=0)
    """Duplicates of each form that are planted to measure recall and precision."""
    min_recall: float = Field(default=0.95, ge=0, le=1)
    """Share of the planted copies that must be found, in every form. Those count that are copies by
    these settings with a margin: so not a fifth of the words changed, and no very short text."""
    min_precision: float = Field(default=0.95, ge=0, le=1)
    """Share of what is taken that must have been planted, in every form of which copies count."""

    min_kept: float = Field(default=0.99, ge=0, le=1)
    """Share of the planted near misses that must be kept, in every form: documents of one template
    with another number, operator, name or content."""

    def run(self, inputs: DeduplicateInputs, out: Path) -> DocumentShards:
        """Write the documents that stay, and those that do not with the reason.

        Raises ValueError if `known` has no index, or one made with other settings than these, and
        if too few of the planted copies are found or too much else is taken.
        """
        for old in out.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        known, scratch = inputs.known, out / _SCRATCH
        files = kept_files(known) if known else []
        pieces = [
            piece.model_copy(update={"number": piece.number + len(files)})
            for piece in cut(kept_files(inputs.documents), PIECE_BYTES)
        ]
        index = known.path / _INDEX if known else None
        found = find_duplicates(
            self._matching, pieces, out / _INDEX, scratch / "sketches", index, files
        )
        answers, orders = _pass_on(files, found, out)
        answers += _carry_out([*orders, *self._orders(pieces, found)], out)
        planted = self._measure(scratch)
        write_report(planted, out / "planted.json")
        write_json(out / TEMPLATES, [template.model_dump() for template in found.templates])
        shutil.rmtree(scratch)
        require_found(planted, self.min_recall, self.min_precision)
        require_kept(planted, self.min_kept)
        made = gathered(out, answers)
        size = round(found.sketches.num_bytes_on_disk() / max(1, len(found.sketches)))
        counts = {**made.counts, "bytes of index per document": size}
        if found.num_of_templates:
            counts["documents of a template"] = found.num_of_templates
        return made.model_copy(update={"planted": planted, "counts": counts})

    @property
    def _matching(self) -> Matching:
        return Matching.model_validate(self.model_dump(include=set(Matching.model_fields)))

    def _measure(self, scratch: Path) -> tuple[Planted, ...]:
        """Find what is planted among passages of the sampled documents."""
        texts = [text for file in sorted(scratch.glob("samples/*")) for text in _texts(file)]
        return tuple(measure(texts, self.num_planted, self._matching, scratch / "planted"))

    def _orders(self, pieces: Sequence[Piece], found: Duplicates) -> Iterator[Order]:
        """Yield what to do with the new documents."""
        chosen, start = self._chosen(found), 0
        for piece, size in zip(pieces, found.piece_sizes, strict=True):
            verdicts = found.verdicts(start, size)
            rows = found.row_of[start : start + size].tolist()
            sampled = [n for n, row in enumerate(rows) if row in chosen and n not in verdicts]
            start += size
            yield Order(piece, verdicts, sampled)

    def _chosen(self, found: Duplicates) -> set[int]:
        """Return the rows of new documents whose text serves for planting, whatever the pieces."""
        rows = np.flatnonzero(found.sketches.kept_as == np.arange(len(found.sketches)))
        rows = rows[rows >= found.first_new]
        keys = found.sketches.digests[rows, 0] ^ np.uint64(self.seed)
        return set(rows[np.argsort(keys, kind="stable")[: self.num_planted * NUM_POOLS]].tolist())


def sift(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Keep the documents of a piece that nothing was decided against."""
    order = json.loads(_order_file(Path(payload["orders"]), piece).read_text("utf-8"))
    verdicts: dict[str, LeftOut] = order["verdicts"]
    sampled = set(order["sampled"])
    samples: list[dict[str, object]] = []
    with Sieve(piece, out) as sieve:
        for place, document in enumerate(piece.documents()):
            if verdict := verdicts.get(str(place)):
                sieve.drop(document, verdict[0], of=verdict[1])
            else:
                sieve.keep(document)
            if place in sampled:
                samples.append({"text": document.text[:_SAMPLED_CHARACTERS]})
    write_lines(out / _SCRATCH / "samples" / f"{piece.number:05d}.jsonl", samples)
    return sieve.answer()


def _carry_out(orders: Sequence[Order], out: Path) -> list[dict[str, Any]]:
    """Write what is kept and left out; the workers find their orders in files."""
    folder = out / _SCRATCH / "orders"
    folder.mkdir(parents=True)
    for order in orders:
        write_json(_order_file(folder, order.piece), order._asdict() | {"piece": None})
    pieces = [order.piece for order in orders]
    return work_through(f"{__name__}:sift", pieces, out, {"orders": str(folder)})


def _pass_on(
    files: Sequence[Path], found: Duplicates, out: Path
) -> tuple[list[dict[str, Any]], list[Order]]:
    """Link the files of known documents; return what was passed on, and orders for the others.

    Those are the files that have a document which a new one holds.
    """
    answers: list[dict[str, Any]] = []
    orders: list[Order] = []
    known, start = found.known, 0
    (out / KEPT).mkdir()
    for number, file in enumerate(files):
        sources = _sources(file)  # of their ids alone: what they say is in the index
        rows = known[start : start + len(sources)]
        start += len(sources)
        if verdicts := found.verdicts_on_known(rows):
            piece = Piece(number=number, file=str(file), start=0, end=file.stat().st_size)
            orders.append(Order(piece, verdicts, []))
            continue
        link_or_copy(file, out / KEPT / f"{number:05d}.jsonl")
        sizes = Counter[str]()
        for source, size in zip(sources, found.sketches.num_bytes[rows].tolist(), strict=True):
            sizes[source] += size
        counted = {"documents": Counter(sources), "bytes": sizes, "dropped": {}, "counts": {}}
        answers.append(counted)
    return answers, orders


def _sources(file: Path) -> list[str]:
    """Return the source of each document, which its id begins with, and its line with that."""
    with file.open("rb") as lines:
        return [line.split(b'"', 4)[3].split(b"/", 1)[0].decode() for line in lines]


def _order_file(folder: Path, piece: Piece) -> Path:
    return folder / f"{piece.number:05d}.json"


def _texts(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]
