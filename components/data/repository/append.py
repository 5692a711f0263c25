"""Documents that are not there yet, each once, in bounded memory."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from components.data.document import Document


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
