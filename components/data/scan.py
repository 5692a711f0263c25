"""Scan: token shards -> a report of the evaluation items in what is really trained on."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import (
    ContaminationReport,
    EvaluationSets,
    Planted,
    TokenShards,
    Vocabulary,
)
from components.core.component import Component
from components.data.overlap import passages
from components.data.overlap.index import EvaluationItem, Overlap
from components.data.overlap.items import Search, evaluation_items
from components.data.overlap.planted import measure, require_recall
from components.data.pieces import Piece, work_through
from components.data.tokens.decoding import DecodedDocuments

_SPLIT = "train"
_INDEX = ".index"
_NAMED_DOCUMENTS = 10


class ScanInputs(Frozen):
    """What `Scan` reads."""

    shards: TokenShards
    """The tokens that models are trained on."""
    vocabulary: Vocabulary
    """The tokenizer that decodes them."""
    evaluation: EvaluationSets
    """What a model will be asked."""
    search: Search = Search()
    """What counts as an overlap: what it was when the documents were decontaminated."""


class Scan(Component[ScanInputs, ContaminationReport]):
    """Decode the train split again, and look for evaluation items in it.

    Whatever the data is declared to be and went through, this is what a model learns. Items are
    encoded and decoded as well, so that what a vocabulary loses hides none. Writes `scan.json` and
    `planted.json`.
    """

    version: ClassVar[str] = "1.0.1"

    max_contaminated: int = Field(default=0, ge=0)
    """Documents that may share words with evaluation items; more stop the flow."""

    def run(self, inputs: ScanInputs, out: Path) -> ContaminationReport:
        """Write the report.

        Raises:
            ValueError: planted items are not found, or too many documents hold evaluation items.
        """
        search = inputs.search
        shutil.rmtree(out / _INDEX, ignore_errors=True)
        documents = DecodedDocuments(inputs.shards.path / _SPLIT, inputs.vocabulary.path)
        pieces, payload = list(documents.pieces()), {"vocabulary": str(inputs.vocabulary.path)}
        index = Overlap.build(_as_read(inputs.evaluation, documents), search.ngram_words)
        index.save(out / _INDEX)
        if search.common_in is not None:
            counts = work_through(f"{__name__}:count", pieces, out, payload)
            index = search.without_common(index, counts)
            index.save(out / _INDEX)
        planted = _planted(inputs, index, documents, out)
        found = work_through(f"{__name__}:search", pieces, out, payload)
        shutil.rmtree(out / _INDEX)
        rows = [row for answer in found for row in answer["found"]]
        names = documents.ids([row["number"] for row in rows])
        rows = [{"id": name} | row for name, row in zip(names, rows, strict=True)]
        report = ContaminationReport(
            path=out,
            num_documents=len(documents),
            num_contaminated=len(rows),
            contaminated=dict(
                sorted(Counter(name for row in rows for name in row["sets"]).items())
            ),
            counts=index.summary(),
            planted=planted,
        )
        text = json.dumps(report.model_dump(mode="json") | {"documents": rows}, indent=2)
        (out / "scan.json").write_text(f"{text}\n", encoding="utf-8")
        self._require_clean(inputs, report, rows)
        return report

    def _require_clean(
        self, inputs: ScanInputs, report: ContaminationReport, rows: list[dict[str, Any]]
    ) -> None:
        if len(rows) <= self.max_contaminated:
            return
        told = "; ".join(f"{row['id']} holds {row['items']}" for row in rows[:_NAMED_DOCUMENTS])
        raise ValueError(
            f"{len(rows)} of {report.num_documents} documents that would be trained on share "
            f"{inputs.search.ngram_words} words in a row with evaluation items, where "
            f"max_contaminated is {self.max_contaminated}: {told}"
            f"{'; ...' if len(rows) > _NAMED_DOCUMENTS else ''}. {report.path / 'scan.json'} shows "
            "the words. Run data.decontaminate with the same search before data.split, take the "
            "documents out of their source, or raise max_contaminated if they may stay."
        )


def _planted(
    inputs: ScanInputs, index: Overlap, documents: DecodedDocuments, out: Path
) -> tuple[Planted, ...]:
    search, items = inputs.search, evaluation_items(inputs.evaluation)
    around = documents.spread(2 * search.num_planted)
    measured = measure(search, index, items, around, documents.decoder.again)
    measured.write(out)
    require_recall(search, measured.rows)
    return measured.rows


def count(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, int]:
    """Count the documents of a piece that hold an n-gram."""
    return Overlap.load(out / _INDEX).documents_with(text for _, text in _texts(piece, payload))


def search(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Return what documents of a piece share with evaluation items."""
    index = Overlap.load(out / _INDEX)
    found = passages.search(index, _texts(piece, payload))
    return {
        "found": [
            {"number": number, "sets": one.sets, "items": one.items, "words": one.words}
            for number, one in found
            if one
        ]
    }


def _texts(piece: Piece, payload: dict[str, Any]) -> Iterator[tuple[int, str]]:
    documents = DecodedDocuments(Path(piece.file).parent, Path(payload["vocabulary"]))
    return documents.read(piece.start, piece.end)


def _as_read(sets: EvaluationSets, documents: DecodedDocuments) -> Iterator[EvaluationItem]:
    decoder = documents.decoder
    for item in evaluation_items(sets):
        yield item if decoder.is_exact else item._replace(text=decoder.again(item.text))
