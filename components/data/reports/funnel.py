"""The way of documents through the steps of the data stage: how many each let through, and why."""

from collections.abc import Mapping

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import DocumentShards, SourceCount


class FunnelRow(Frozen):
    """What one step let through."""

    step: str
    """Name of the step; `raw` is what went into the first."""
    documents: int
    """Documents that were kept."""
    bytes: int | None
    """UTF-8 bytes of their text; None of raw ones, which nobody measured."""
    dropped: dict[str, int]
    """Documents that were left out, by reason, the most frequent first."""


def funnel(steps: Mapping[str, DocumentShards], source: str | None = None) -> tuple[FunnelRow, ...]:
    """Return a row for what went in and one for each step, of all documents or of one source."""
    counts = {name: _count(shards, source) for name, shards in steps.items()}
    first = next(iter(counts.values()))
    raw = first.documents + sum(first.dropped.values())
    rows = [FunnelRow(step="raw", documents=raw, bytes=None, dropped={})]
    for name, count in counts.items():
        dropped = dict(sorted(count.dropped.items(), key=lambda item: -item[1]))
        rows.append(
            FunnelRow(step=name, documents=count.documents, bytes=count.bytes, dropped=dropped)
        )
    return tuple(rows)


def _count(shards: DocumentShards, source: str | None) -> SourceCount:
    if source is not None:
        return shards.by_source.get(source, SourceCount())
    return SourceCount(
        documents=shards.num_documents, bytes=shards.num_bytes, dropped=shards.dropped
    )
