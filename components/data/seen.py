"""Documents that were seen, so that no two of a set have one id."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Self

from components.data.document import Document

REPEATED = "repeated row"
"""Reason of a row whose id and content an earlier one has."""


class Seen:
    """Notes ids and texts in a database, in bounded memory; it is to be closed."""

    def __init__(self, file: Path | None = None) -> None:
        """Keep the database in `file`, or in one of the system's that goes when it is closed."""
        self._base = sqlite3.connect(file or "", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Self:
        """Begin to note."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the database."""
        self._base.close()

    def told_apart(self, document: Document) -> Document | None:
        """Return a document under an id of its own; None if it was seen, id and text.

        An id that no earlier one has stays. With a known id and another text it becomes `ID~` and
        8 hex digits of the text's sha256.
        """
        name, text = _first_id(document), document.text
        if not self._note(name, text):
            return None
        if self._note(document.id, ""):
            return document
        renamed = document.model_copy(update={"id": f"{name}{_suffix(text)}"})
        self._note(renamed.id, "")
        return renamed

    def _note(self, name: str, text: str) -> bool:
        """Note a pair; return whether it is new. No text is empty: that means the id alone."""
        key = hashlib.sha256(f"{len(name)} {name}{text}".encode()).digest()[:16]
        return self._base.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1


def is_renamed(document: Document) -> bool:
    """Whether a document was given an id of its own, since another one had its id."""
    return _first_id(document) != document.id


def _first_id(document: Document) -> str:
    return document.id.removesuffix(_suffix(document.text))


def _suffix(text: str) -> str:
    return f"~{hashlib.sha256(text.encode()).hexdigest()[:8]}"
