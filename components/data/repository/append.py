"""What is added to a dataset: documents that are not there yet, each once, in bounded memory."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from components.core.files import link_or_copy, sha256
from components.data.document import (
    Document,
    document_files,
    num_lines,
    read_documents,
    write_shards,
)
from components.data.repository.dialogue_sets import (
    FILES,
    About,
    about,
    write_as_documents,
    write_set,
)
from components.data.sources.intake import Intake


def gathered(target: Path, new: Path, aside: Path, intake: Intake, append: bool) -> dict[str, Any]:
    """Make `new/read` what the dataset becomes; return its size and hashes, for `Ingested`."""
    before, kind = target, intake.source.kind
    if append and kind in FILES and (target / FILES[kind]).exists():
        before = new / "before"
        write_as_documents(kind, target, before)
    if append and document_files(before):
        append_to(before, new, aside, intake.withdraw)
    if kind not in FILES:
        return _counts(new / "read")
    made = About(formats=+intake.formats, licenses=+intake.licenses, left_out=+intake.left_out)
    return write_set(kind, new / "read", made, about(target) if append else None)


def append_to(target: Path, new: Path, scratch: Path, skip: Callable[[Document], None]) -> None:
    """Make what was read into `new/read` what is in `target`, and after it what is not there yet.

    Of what is there, all files but the last stay as they are. `skip` gets what is there already.
    """
    *whole, last = document_files(target)
    there = (document for file in (*whole, last) for document in read_documents(file))
    more = (each for file in document_files(new / "read") for each in read_documents(file))
    documents = unseen(there, more, scratch, skip)
    (new / "joined").mkdir()
    for file in whole:
        link_or_copy(file, new / "joined" / file.name)
    write_shards(new / "joined", chain(read_documents(last), documents), first=len(whole))
    shutil.rmtree(new / "read")
    (new / "joined").rename(new / "read")


def _counts(folder: Path) -> dict[str, Any]:
    """Return the number of documents in `folder`, and the hash of each file, for `Ingested`."""
    files = document_files(folder)
    return {
        "total_documents": sum(map(num_lines, files)),
        "sha256": {file.name: sha256(file) for file in files},
    }


def unseen(
    there: Iterable[Document],
    more: Iterable[Document],
    scratch: Path,
    skip: Callable[[Document], None],
) -> Iterator[Document]:
    """Yield the documents of `more` that are not among those that are there.

    Equal id and text is the same document, which `skip` gets. One with a known id and another text
    becomes `ID~` and 8 hex digits of its text's sha256. Writes a database into `scratch`.
    """
    with closing(sqlite3.connect(scratch / "seen.db", isolation_level=None)) as seen:
        seen.execute("PRAGMA journal_mode = OFF")
        seen.execute("PRAGMA synchronous = OFF")
        seen.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        for document in there:
            _note(seen, document.id, "")
            _note(seen, document.id.removesuffix(f"~{_short_hash(document.text)}"), document.text)
        for document in more:
            if not _note(seen, document.id, document.text):
                skip(document)
                continue
            if not _note(seen, document.id, ""):
                renamed = f"{document.id}~{_short_hash(document.text)}"
                document = document.model_copy(update={"id": renamed})
            yield document


def _note(seen: sqlite3.Connection, name: str, text: str) -> bool:
    """Note a pair; return whether it is new. No document's text is empty, so that means the id."""
    key = hashlib.sha256(f"{len(name)} {name}{text}".encode()).digest()[:16]
    return seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
