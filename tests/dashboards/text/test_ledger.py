"""What was seen, in a terminal: every number stands there, and markup in the data is text."""

from io import StringIO

from rich.console import Console

from components.lib.ledger.seen import (
    DocumentSeen,
    Overview,
    SeenDocument,
    SeenPart,
    Sighting,
    StepSeen,
)
from dashboards.text.ledger import table


def _shown(seen) -> str:
    console = Console(width=110, record=True, file=StringIO())
    console.print(table(seen))
    return " ".join(console.export_text().split())  # however the lines are broken


def _document(**changed) -> DocumentSeen:
    sighting = Sighting(step=7, part=SeenPart(window=3, start=1200, end=1300))
    known = {"source": "a", "split": "train", "tokens": 1500, "windows": 12, "steps": 40}
    return DocumentSeen.model_validate({"id": "a/1", **known, "sightings": [sighting], **changed})


def test_the_overview_says_what_share_was_seen_and_what_was_skipped():
    seen = Overview(
        fingerprint="feed",
        path="",
        steps=400,
        examples=12_800,
        tokens=1_638_400,
        epochs=2.125,
        documents=200,
        documents_seen=150,
        skipped_draws=((30, 39),),
        chain="0123456789abcdef",
    )
    shown = _shown(seen)
    for text in ("feed", "1,638,400", "2.1", "150 of 200 (75.0%)", "30 to 39", "0123456789abcdef"):
        assert text in shown, text
    assert "none" in _shown(seen.model_copy(update={"skipped_draws": ()}))
    assert "replayed" not in shown
    assert "1,600 (12.5%)" in _shown(seen.model_copy(update={"replayed": 1600}))


def test_a_step_shows_its_documents_and_markup_in_them_is_text():
    document = SeenDocument(
        id="web/[bold]x",
        source="web",
        tokens=2000,
        parts=(SeenPart(window=1, start=0, end=65),),
        snippet="[/red] an unclosed [tag",
    )
    shown = _shown(
        StepSeen(
            step=3,
            draw=5,
            examples=1,
            tokens=64,
            batch="ab" * 8,
            chain="cd" * 8,
            verified=True,
            documents=(document,),
        )
    )
    for text in ("Step 3", "web/[bold]x", "[/red] an unclosed [tag", "0 to 64", "2,000", "ab" * 8):
        assert text in shown, text


def test_a_document_shows_its_steps_or_why_there_are_none():
    shown = _shown(_document())
    assert "1,200 to 1,299" in shown
    assert "seen in 1 of 40 steps" in shown
    assert "test split" in _shown(_document(split="test", sightings=[]))
    assert "rest of a shard" in _shown(_document(windows=0, sightings=[]))
    assert "seen in 0 of 40" in _shown(_document(sightings=[]))
