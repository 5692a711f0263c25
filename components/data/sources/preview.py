"""What adding a source would do: its files, how each would be read, and how the documents begin."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.data.dialogues.rows import LEFT_OUT
from components.data.document import Document
from components.data.seen import Seen
from components.data.sources.documents import FORMAT
from components.data.sources.intake import told_apart
from components.data.sources.reading import plan, read
from components.data.sources.source import Reading, Reject, Source

_RECOGNISED = 1000  # dialogues that a preview counts


class PlannedFile(Frozen):
    """A file that would be read."""

    place: str
    """Where it is, without credentials."""
    reader: str
    """How it would be read."""


class Preview(Frozen):
    """What is known of a source when its first documents were read."""

    files: tuple[PlannedFile, ...]
    """All that would be read."""
    documents: tuple[Document, ...]
    """The first ones."""
    rejected: dict[str, int]
    """Records before these that would be left out, by reason."""
    formats: dict[str, int]
    """Of dialogues and preferences: the formats that were recognised, and in how many records."""
    left_out: dict[str, int]
    """Of these: in how many something would be left out, such as reasoning parts, by what it is."""
    renamed: int
    """Of these: how many would get an id of their own, since an earlier one has theirs."""


def preview(name: str, source: Source, state: Path, num_documents: int = 3) -> Preview:
    """Return the first documents of a source, read as `data add NAME` does; nothing is added.

    What had to be downloaded for that is kept for the next reading. Raises ValueError if the source
    as a whole cannot be had.
    """
    files = plan(Reading(source, name, state))
    planned = tuple(PlannedFile(place=place, reader=reader) for place, reader in files)
    first, counts = list[Document](), _Counts()
    enough = _RECOGNISED if source.is_of_dialogues else num_documents
    with Seen() as seen:
        for row in read(Reading(source, name, state)):
            found = told_apart(row, seen) if source.is_of_dialogues else row
            counts.renamed += found.id != row.id
            counts.count(found)
            if isinstance(found, Document) and len(first) < num_documents:
                first.append(found)
            if counts.num_documents == enough:
                break
    return Preview(
        files=planned,
        documents=tuple(first),
        rejected=dict(counts.rejected),
        formats=dict(counts.formats),
        left_out=dict(counts.left_out),
        renamed=counts.renamed,
    )


@dataclass
class _Counts:
    """Records of a source, counted while it is read."""

    num_documents: int = 0
    rejected: Counter[str] = field(default_factory=Counter[str])
    formats: Counter[str] = field(default_factory=Counter[str])
    left_out: Counter[str] = field(default_factory=Counter[str])
    renamed: int = 0

    def count(self, found: Document | Reject) -> None:
        if isinstance(found, Reject):
            self.rejected[found.reason] += found.count
            return
        self.num_documents += 1
        if FORMAT in found.metadata:
            self.formats[str(found.metadata[FORMAT])] += 1
            self.left_out.update(name for name in LEFT_OUT if found.metadata.get(name))
