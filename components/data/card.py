"""Card: all that was made of raw data on its way to tokens -> a page that says what it is."""

import json
from collections.abc import Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import (
    ContaminationReport,
    Corpus,
    DataCard,
    Documents,
    DocumentShards,
    Planted,
    TokenShards,
)
from components.core.component import Component
from components.core.files import manifest, write_atomically
from components.data.duplicates.templates import TEMPLATES, Template
from components.data.pieces import REJECTS, cut
from components.data.reports.card_page import render
from components.data.reports.funnel import FunnelRow, funnel
from components.data.reports.statistics import Statistics, measure
from components.data.split import SPLITS

_EXCERPT = 600


class CardInputs(Frozen):
    """What `Card` reads: every step of the data stage."""

    documents: Documents
    """What went in."""
    clean: DocumentShards
    """After cleaning."""
    deduplicate: DocumentShards
    """After deduplication."""
    decontaminate: DocumentShards
    """After decontamination."""
    mask: DocumentShards
    """After masking of personal data."""
    corpus: Corpus
    """In splits."""
    shards: TokenShards
    """As tokens."""
    scan: ContaminationReport
    """What of the evaluation items stands in those."""

    def steps(self) -> dict[str, DocumentShards]:
        """Return what each step let through, in order."""
        names = ("clean", "deduplicate", "decontaminate", "mask")
        return {name: getattr(self, name) for name in names}


class PlantedRow(Planted):
    """What a step found of what was planted, with the shares that people ask for."""

    recall_percent: float
    """Share of the planted items that were found, in percent."""
    due_recall_percent: float | None
    """Share of those that must be found that were, in percent; None if none must be."""
    precision_percent: float
    """Share of what was taken that had been planted, in percent."""


class Sample(Frozen):
    """The beginning of a document."""

    id: str
    """Its name."""
    reason: str
    """Why it was left out; empty if it was not."""
    text: str
    """Its first characters."""


class Content(Frozen):
    """What a card says."""

    revision: str
    """A revision of `data/` that has these documents: the first that they were taken from."""
    funnel: tuple[FunnelRow, ...]
    """The way of all documents."""
    funnel_by_source: dict[str, tuple[FunnelRow, ...]]
    """The way of each source's."""
    counts: dict[str, dict[str, int]]
    """What else each step counted."""
    planted: dict[str, tuple[PlantedRow, ...]]
    """What each step found of what was planted for it."""
    splits: dict[str, dict[str, int]]
    """Documents, bytes and tokens of each split."""
    statistics: Statistics
    """What the documents are like."""
    kept: tuple[Sample, ...]
    """Some that were kept."""
    dropped: dict[str, tuple[Sample, ...]]
    """Some that each step left out."""
    templates: tuple[Template, ...]
    """What documents have in common that deduplication kept, since the rest says other things."""
    shards: dict[str, str]
    """sha256 of every file of tokens."""
    measures: dict[str, float]
    """The numbers that can be bounded."""


class Card(Component[CardInputs, DataCard]):
    """Count, measure and show: Gebru et al. 2021, "Datasheets for Datasets".

    Writes `report/card.json` and `report/card.html`, a page without scripts that needs no other
    file.
    """

    version: ClassVar[str] = "1.1.0"

    num_samples: int = Field(default=5, ge=0, le=100)
    """Documents that are shown, of those kept and of those that each step left out."""

    def run(self, inputs: CardInputs, out: Path) -> DataCard:
        """Write the card."""
        content = self._content(inputs, out)
        (out / "report").mkdir(exist_ok=True)
        write_atomically(out / "report" / "card.json", content.model_dump_json(indent=2) + "\n")
        write_atomically(out / "report" / "card.html", render(content.model_dump(mode="json")))
        return DataCard(
            path=out,
            num_documents=sum(inputs.corpus.num_documents.values()),
            num_tokens=sum(inputs.shards.num_tokens.values()),
            measures=content.measures,
        )

    def _content(self, inputs: CardInputs, out: Path) -> Content:
        corpus, steps = inputs.corpus, inputs.steps()
        pieces = cut(corpus.path / f"{split}.jsonl" for split in SPLITS)
        statistics = measure(pieces, out)
        return Content(
            revision=inputs.documents.revision,
            funnel=funnel(steps),
            funnel_by_source={source: funnel(steps, source) for source in inputs.clean.by_source},
            counts={name: step.counts for name, step in {**steps, "scan": inputs.scan}.items()},
            planted=_planted({**steps, "scan": inputs.scan}),
            splits={
                split: {
                    "documents": corpus.num_documents[split],
                    "bytes": corpus.num_bytes[split],
                    "tokens": inputs.shards.num_tokens[split],
                }
                for split in SPLITS
            },
            statistics=statistics,
            kept=tuple(
                Sample(id=document.id, reason="", text=document.text[:_EXCERPT])
                for piece in pieces[:1]
                for document in islice(piece.documents(), self.num_samples)
            ),
            dropped={name: self._rejects(shards) for name, shards in steps.items()},
            templates=_templates(inputs.deduplicate),
            shards=manifest(inputs.shards.path, exclude=frozenset({"artifact.json"})),
            measures=_measures(inputs, statistics),
        )

    def _rejects(self, shards: DocumentShards) -> tuple[Sample, ...]:
        """Return some rejects of each reason."""
        found: dict[str, list[Sample]] = {reason: [] for reason in shards.dropped}
        for file in sorted((shards.path / REJECTS).glob("*.jsonl")):
            with file.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    row: dict[str, Any] = json.loads(line)
                    samples = found.setdefault(row["reason"], [])
                    if len(samples) < self.num_samples:
                        text = row["text"][:_EXCERPT]
                        samples.append(Sample(id=row["id"], reason=row["reason"], text=text))
            if all(len(samples) >= self.num_samples for samples in found.values()):
                break
        return tuple(sample for samples in found.values() for sample in samples)


def _templates(shards: DocumentShards) -> tuple[Template, ...]:
    file = shards.path / TEMPLATES
    rows = json.loads(file.read_text("utf-8")) if file.exists() else []
    return tuple(Template.model_validate(row) for row in rows)


def _planted(
    steps: Mapping[str, DocumentShards | ContaminationReport],
) -> dict[str, tuple[PlantedRow, ...]]:
    return {
        name: tuple(
            PlantedRow(
                **row.model_dump(),
                recall_percent=round(100 * row.recall, 2),
                due_recall_percent=round(100 * row.due_recall, 2) if row.due else None,
                precision_percent=round(100 * row.precision, 2),
            )
            for row in shards.planted
            if row.planted
        )
        for name, shards in steps.items()
        if shards.planted
    }


def _measures(inputs: CardInputs, statistics: Statistics) -> dict[str, float]:
    """Return what `Validate` can bound; shares are 0 to 1."""
    rows = funnel(inputs.steps())
    before = {row.step: earlier.documents for earlier, row in pairwise(rows)}
    measures = {
        f"drop_rate.{row.step}": 1 - row.documents / before[row.step] if before[row.step] else 0.0
        for row in rows[1:]
    }
    documents = sum(inputs.corpus.num_documents.values())
    languages = statistics.languages
    return {
        "documents": documents,
        "bytes": sum(inputs.corpus.num_bytes.values()),
        "tokens": sum(inputs.shards.num_tokens.values()),
        "contaminated": inputs.scan.num_contaminated,
        "duplicate_rate": measures["drop_rate.deduplicate"],
        **measures,
        **{f"words.p{p}": statistics.percentile(p / 100) for p in (1, 10, 50, 90, 99)},
        **{f"language.{name}": number / documents for name, number in languages.items()},
        **{
            f"source.{name}": source.documents / documents
            for name, source in statistics.by_source.items()
        },
    }
