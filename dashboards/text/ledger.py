"""What a pretraining has seen, for a terminal."""

from rich.markup import escape
from rich.table import Table

from components.lib.ledger.seen import DocumentDropped, DocumentSeen, Overview, SeenPart, StepSeen


def table(seen: Overview | StepSeen | DocumentSeen | DocumentDropped) -> Table:
    """Return what was seen by a whole training, by a step, or of a document."""
    if isinstance(seen, DocumentDropped):
        return _dropped_table(seen)
    if isinstance(seen, Overview):
        return _overview_table(seen)
    return _step_table(seen) if isinstance(seen, StepSeen) else _document_table(seen)


def _overview_table(seen: Overview) -> Table:
    shown = Table(title=f"Seen by {seen.fingerprint}", title_justify="left", show_header=False)
    shown.add_column()
    shown.add_column(justify="right", no_wrap=True)
    shown.add_row("steps", f"{seen.steps:,}")
    shown.add_row("sequences", f"{seen.examples:,}")
    if seen.replayed:
        share = seen.replayed / seen.examples
        shown.add_row("replayed among them", f"{seen.replayed:,} ({share:.1%})")
    shown.add_row("tokens", f"{seen.tokens:,}")
    shown.add_row("epochs", f"{seen.epochs:.2f}")
    share = seen.documents_seen / seen.documents
    shown.add_row(
        "train documents seen", f"{seen.documents_seen:,} of {seen.documents:,} ({share:.1%})"
    )
    gaps = ", ".join(f"{first} to {last}" for first, last in seen.skipped_draws)
    shown.add_row("draws skipped", gaps or "none")
    shown.add_row("hash of the history", seen.chain)
    return shown


def _step_table(seen: StepSeen) -> Table:
    shown = Table(
        title=f"Step {seen.step} saw {len(seen.documents)} documents in {seen.examples} sequences",
        title_justify="left",
        caption=f"batch {seen.batch}: verified, the shards reproduce it; draw {seen.draw}, "
        f"chain {seen.chain}",
        caption_justify="left",
    )
    shown.add_column("document", overflow="fold")
    shown.add_column("source")
    shown.add_column("its tokens", justify="right")
    shown.add_column("text", ratio=1)
    for document in seen.documents:
        parts = "\n".join(map(_tokens, document.parts))
        cells = (document.id, document.source, f"{parts}\nof {document.tokens:,}", document.snippet)
        shown.add_row(*map(escape, cells))
    return shown


def _document_table(seen: DocumentSeen) -> Table:
    shown = Table(title=escape(seen.id), title_justify="left", caption=_caption(seen))
    shown.caption_justify = "left"
    for heading in ("step", "window", "its tokens"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for sighting in seen.sightings:
        shown.add_row(str(sighting.step), str(sighting.part.window), _tokens(sighting.part))
    return shown


def _dropped_table(seen: DocumentDropped) -> Table:
    title = f"{escape(seen.id)} was dropped: no training saw it"
    shown = Table(title=title, title_justify="left", show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    rows = {
        "dropped by": seen.step,
        "because": seen.reason,
        "in favour of": seen.in_favour_of,
        "shares words with": seen.shared_with,
        "it begins": seen.text,
        "whole in": f"{seen.path}/rejects",
    }
    for name, value in rows.items():
        if value:
            shown.add_row(name, escape(value))
    return shown


def _tokens(part: SeenPart) -> str:
    return f"{part.start:,} to {part.end - 1:,}"


def _caption(seen: DocumentSeen) -> str:
    if seen.split != "train":
        return f"It is in the {seen.split} split: no training step ever sees it."
    if not seen.windows:
        return "No window holds it: it is in the rest of a shard, so no step ever sees it."
    steps = len({sighting.step for sighting in seen.sightings})
    return (
        f"{seen.tokens:,} tokens in {seen.windows} windows, seen in {steps} of {seen.steps} steps"
    )
