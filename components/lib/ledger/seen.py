"""What is known of what a pretraining has seen, and when."""

from components.core.artifacts.base import Frozen


class Overview(Frozen):
    """All that a pretraining has seen."""

    fingerprint: str
    """Identity of the pretraining."""
    path: str
    """Its folder."""
    steps: int
    """Optimizer steps."""
    examples: int
    """Sequences it saw, repeats counted."""
    replayed: int = 0
    """Those of them that were read again, beside the text to learn."""
    tokens: int
    """Tokens of these, padding left out."""
    epochs: float
    """How often it saw each sequence, on average."""
    documents: int
    """Documents of the train split."""
    documents_seen: int
    """Those of which it saw a token at least once."""
    skipped_draws: tuple[tuple[int, int], ...]
    """Draws that no step saw, first and last of each gap: data skipped after a rollback."""
    chain: str
    """Hash of the whole history, 16 hex digits."""


class SeenPart(Frozen):
    """Tokens of a document in one window of a batch."""

    window: int
    """Index of the window in the train split."""
    start: int
    """First token of the document that is in it."""
    end: int
    """The one after the last."""


class SeenDocument(Frozen):
    """A document that a step saw."""

    id: str
    """Its id."""
    source: str
    """Where it is from: what its id begins with."""
    tokens: int
    """Its length, with the end-of-text token."""
    parts: tuple[SeenPart, ...]
    """What the step saw of it."""
    snippet: str
    """How the first part begins."""


class StepSeen(Frozen):
    """What one step saw, computed again from the shards and equal to the ledger."""

    step: int
    """The step, from 1."""
    draw: int
    """Which draw from the order of the data it was, from 0."""
    examples: int
    """Sequences of its batch."""
    tokens: int
    """Tokens of these, padding left out."""
    batch: str
    """Hash of the batch, 16 hex digits."""
    chain: str
    """Hash of the history up to it, 16 hex digits."""
    verified: bool
    """True: the shards give the batch that the ledger recorded; else there is no answer."""
    documents: tuple[SeenDocument, ...]
    """What the batch held, in the order of the split."""


class Sighting(Frozen):
    """A step that saw a part of a document."""

    step: int
    """The step, from 1."""
    part: SeenPart
    """What it saw."""


class DocumentSeen(Frozen):
    """When a pretraining saw a document."""

    id: str
    """The document's id."""
    source: str
    """Where it is from: what its id begins with."""
    split: str
    """Split it belongs to; training sees only `train`."""
    tokens: int
    """Its length, with the end-of-text token."""
    windows: int
    """Windows that hold a part of it; 0 in the rest of a shard, too short for a window."""
    steps: int
    """Steps that were looked at: all that were done."""
    sightings: tuple[Sighting, ...]
    """Every time it was seen, in order."""


class DocumentDropped(Frozen):
    """Why no training saw a document."""

    id: str
    """The document's id."""
    step: str
    """Component that dropped it, such as `data.deduplicate`."""
    path: str
    """Folder of what that made; `rejects/` below it holds the whole document."""
    reason: str
    """Why, in one or two words."""
    in_favour_of: str = ""
    """Id of the document that was kept instead, if there is one."""
    shared_with: str = ""
    """Items of an evaluation set that it shares words with, if there are any."""
    text: str
    """How it begins."""
