"""The unit of raw data: a text with a stable name, kept as one JSON line."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """A text, its stable name and what is known about it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str = Field(min_length=1)
    """Stable and unique within a source, such as `speeches/1790-washington-1`."""
    text: str
    """The text as it was found, not normalised."""
    metadata: dict[str, str | int] = {}
    """What the source says about the text, such as its year."""

    @property
    def source(self) -> str:
        """The folder of `data/` that the document came from: the first part of its id."""
        return self.id.split("/", 1)[0]


def read_documents(file: Path) -> Iterator[Document]:
    """Yield the documents of a `documents.jsonl`. A bad line is a ValueError with its number."""
    with file.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Document.model_validate_json(line)
            except ValueError as error:
                raise ValueError(f"{file}, line {number}: not a document: {error}") from error


def write_documents(file: Path, documents: Iterable[Document]) -> int:
    """Write one JSON line a document, atomically, and return their number."""
    return write_lines(file, (document.model_dump() for document in documents))


def write_lines(file: Path, rows: Iterable[dict[str, object]]) -> int:
    """Write one JSON line a row (utf-8, sorted keys), atomically, and return their number."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    partial = Path(name)
    count = 0
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as lines:
            for row in rows:
                lines.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
                count += 1
            lines.flush()
            os.fsync(lines.fileno())
        partial.chmod(0o644)  # mkstemp gives 0600
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return count
