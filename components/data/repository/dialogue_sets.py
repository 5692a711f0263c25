"""A set of dialogues or comparisons in `data/`: a file of rows, and what it was made of beside it.

While a set is read, each row is a document whose text is the row as JSON.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.files import sha256, write_atomically
from components.data.dialogues.rows import Kind, from_text
from components.data.document import (
    Document,
    document_files,
    num_lines,
    read_documents,
    write_lines,
    write_shards,
)

FILES: dict[Kind, str] = {"instructions": "dialogues.jsonl", "preferences": "comparisons.jsonl"}
"""The file of a set, by what it is."""

_ABOUT = "about.json"


class About(Frozen):
    """What a set was made of."""

    formats: dict[str, int]
    """Rows by the format that was recognised."""
    licenses: dict[str, int]
    """Rows by their licence; an empty one is not known."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """What was left out of these rows, such as reasoning parts, and how many."""


def about(folder: Path) -> About | None:
    """Return what a set was made of, None if nobody said."""
    file = folder / _ABOUT
    return About.model_validate_json(file.read_text("utf-8")) if file.is_file() else None


def write_set(kind: Kind, folder: Path, added: About, before: About | None) -> dict[str, Any]:
    """Make the documents in `folder` a set; return its rows and hashes, for `Ingested`."""
    files = document_files(folder)
    rows = folder / FILES[kind]
    write_lines(rows, (_row(kind, each) for file in files for each in read_documents(file)))
    for file in files:
        file.unlink()
    made = _together(before or About(formats={}, licenses={}), added)
    write_atomically(folder / _ABOUT, made.model_dump_json(indent=1) + "\n")
    return {"total_documents": num_lines(rows), "sha256": {rows.name: sha256(rows)}}


def write_as_documents(kind: Kind, folder: Path, to: Path) -> None:
    """Write the rows of a set as they were while it was read."""
    to.mkdir()
    write_shards(to, _documents(folder / FILES[kind]))


def _together(before: About, added: About) -> About:
    old, new = before.model_dump(), added.model_dump()
    counts = {name: Counter[str](old[name]) + Counter[str](new[name]) for name in old}
    return About.model_validate({name: dict(sorted(each.items())) for name, each in counts.items()})


def _documents(file: Path) -> Iterator[Document]:
    with file.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            name = row.pop("id")
            yield Document(id=name, text=_text(row))


def _row(kind: Kind, document: Document) -> dict[str, object]:
    row = from_text(kind, document.id, document.text)
    return row.model_dump(mode="json", exclude_defaults=True)


def _text(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True)
