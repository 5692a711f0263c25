"""What adding a source would do: its files, how each would be read, and how the documents begin."""

from collections import Counter
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.data.document import Document
from components.data.sources.documents import FORMAT
from components.data.sources.reading import plan, read
from components.data.sources.source import Reading, Source

_RECOGNISED = 1000  # dialogues whose formats a preview counts


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


def preview(name: str, source: Source, state: Path, num_documents: int = 3) -> Preview:
    """Return the first documents of a source, read as `data add NAME` does; nothing is added.

    What had to be downloaded for that is kept for the next reading. Raises ValueError if the source
    as a whole cannot be had.
    """
    files = plan(Reading(source, name, state))
    planned = tuple(PlannedFile(place=place, reader=reader) for place, reader in files)
    documents, rejected, formats = list[Document](), Counter[str](), Counter[str]()
    enough = _RECOGNISED if source.is_of_dialogues else num_documents
    for found in read(Reading(source, name, state)):
        if isinstance(found, Document):
            documents.append(found)
            formats.update([str(found.metadata[FORMAT])] if FORMAT in found.metadata else [])
        else:
            rejected[found.reason] += found.count
        if len(documents) == enough:
            break
    return Preview(
        files=planned,
        documents=tuple(documents[:num_documents]),
        rejected=dict(rejected),
        formats=dict(formats),
    )
