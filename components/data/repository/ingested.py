"""What came of an ingest: counts and hashes, in a JSON file beside its rejects."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.files import write_atomically
from components.data.dialogues.rows import Kind
from components.data.sources.intake import Intake
from components.data.sources.source import Source

FEW_DOCUMENTS = 100
"""With fewer, one of a hundred runs on these alone finds nothing for a split of 5 %."""

log = logging.getLogger(__name__)


class Ingested(Frozen):
    """What came of one ingest."""

    name: str
    """The dataset, below `data/`."""
    location: str
    """Where the documents came from, without credentials."""
    license: str
    """The licence that was given for them."""
    kind: Kind = "documents"
    """What they are."""
    formats: dict[str, int] = Field(default_factory=dict)
    """Of dialogues and preferences: rows that were added, by the format that was recognised."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """What was left out of rows that were added, such as reasoning parts, and how many."""
    renamed: int = 0
    """Rows that got an id of their own, since another one has their id and other content."""
    documents: int = 0
    """Documents that were added."""
    total_documents: int = 0
    """Documents that the dataset has now."""
    text_bytes: int = 0
    """UTF-8 bytes of the texts that were added."""
    read_bytes: int = 0
    """Bytes that were read, compressed or not."""
    rejected: dict[str, int] = Field(default_factory=dict)
    """Records that were left out, by reason."""
    rejects: str
    """File of those records, one a line, with the first 1,000 characters."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """Hash of each of the dataset's files, by name."""
    revision_before: str
    """What data.dvc pinned."""
    revision: str
    """What it pins now."""
    seconds: float = 0
    """Wall time."""
    error: str = ""
    """Why nothing was added; empty if all went well."""


@contextmanager
def summed_up(intake: Intake, revision: str) -> Generator[dict[str, Any], None, None]:
    """Give a dict of the fields of `Ingested` to fill, and write it when the block ends.

    Begins at `revision`. An error is written too, where there is room, and goes on.
    """
    start = time.monotonic()
    summary: dict[str, Any] = {"revision_before": revision, "revision": revision}
    try:
        yield summary
    except BaseException as error:
        summary["error"] = f"{type(error).__name__}: {error}"
        with suppress(OSError):
            _write(summary, intake, start)
        raise
    _write(summary, intake, start)


def warn_of_few(done: Ingested, source: Source) -> None:
    """Say it if a dataset is too small to be split by itself, and what to do."""
    if done.total_documents >= FEW_DOCUMENTS:
        return
    remedy = "add more"
    if source.unit == "file":
        remedy += ", or cut text files up: the same command with --unit paragraph (or line)"
    log.warning(
        "data/%s has %d documents. A run puts each into one split as a whole, and fails if train, "
        "validation or test gets none; fewer than %d are too few to be sure of that by themselves: "
        "%s",
        *(done.name, done.total_documents, FEW_DOCUMENTS, remedy),
    )


def _write(summary: dict[str, Any], intake: Intake, start: float) -> None:
    summary |= intake.summary() | {"seconds": round(time.monotonic() - start, 3)}
    text = Ingested.model_validate(summary).model_dump_json(indent=2)
    write_atomically(intake.rejects.with_suffix(".json"), text + "\n")
