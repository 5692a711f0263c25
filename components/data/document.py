"""The unit of raw data: a text with a stable name, kept as one JSON line."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, count, takewhile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

SHARD_BYTES = 256 << 20  # a dataset that grows by a shard leaves the others as they are


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


def write_shards(
    folder: Path, documents: Iterable[Document], shard_bytes: int | None = None, first: int = 0
) -> None:
    """Write documents to as few files in `folder` as hold about `shard_bytes` of text each.

    That is `SHARD_BYTES` if nothing is said. `first` is the number of the first file, as
    `document_files` counts them.
    """
    rest = iter(documents)
    for number in count(first):
        begun = next(rest, None)
        if begun is None and number > first:
            return
        rows = chain([] if begun is None else [begun], rest)
        write_documents(folder / _shard_name(number), _some(rows, shard_bytes or SHARD_BYTES))


def num_lines(file: Path) -> int:
    """Return the number of lines of a file: of documents, if they are kept as such."""
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def document_files(folder: Path) -> list[Path]:
    """Return `documents.jsonl`, `documents-00001.jsonl` and so on, as far as there are any."""
    files = (folder / _shard_name(number) for number in count())
    return list(takewhile(Path.exists, files))


def _shard_name(number: int) -> str:
    return f"documents-{number:05d}.jsonl" if number else "documents.jsonl"


def _some(documents: Iterable[Document], num_bytes: int) -> Iterator[Document]:
    """Yield documents until their texts are so large."""
    for document in documents:
        yield document
        num_bytes -= len(document.text.encode())
        if num_bytes <= 0:
            return


def write_lines(file: Path, rows: Iterable[dict[str, object]]) -> int:
    """Write one JSON line a row (utf-8, sorted keys), atomically, and return their number."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    partial = Path(name)
    number = 0
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as lines:
            for row in rows:
                lines.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
                number += 1
            lines.flush()
            os.fsync(lines.fileno())
        partial.chmod(0o644)  # mkstemp gives 0600
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return number
