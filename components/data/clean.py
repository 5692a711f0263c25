"""Clean: raw documents -> documents that are worth reading, in one form."""

import shutil
import unicodedata
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from components.core.artifacts import DocumentShards, RawData
from components.core.component import Component
from components.data.document import Document
from components.data.pieces import Piece, Sieve, cut, gathered, work_through


class Clean(Component[RawData, DocumentShards]):
    """Normalise the text, and drop what is empty or short."""

    version: ClassVar[str] = "2.0.0"

    min_characters: int = Field(default=200, ge=1)
    """Shorter documents are dropped."""

    def run(self, inputs: RawData, out: Path) -> DocumentShards:
        """Write the documents that stay, and those that do not with the reason."""
        for old in out.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        files = [inputs.path / source / "documents.jsonl" for source in inputs.sources]
        answers = work_through(f"{__name__}:clean", cut(files), out, self.model_dump(mode="json"))
        return gathered(out, answers)

    def reason_to_drop(self, document: Document) -> str | None:
        """Return why a normalised document is left out, or None."""
        if not document.text:
            return "empty"
        return "short" if len(document.text) < self.min_characters else None


def clean(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Clean the documents of a piece."""
    step = Clean.model_validate(payload)
    with Sieve(piece, out) as sieve:
        for raw in piece.documents():
            document = raw.model_copy(update={"text": normalise(raw.text)})
            if reason := step.reason_to_drop(document):
                sieve.drop(document, reason)
            else:
                sieve.keep(document)
    return sieve.answer()


def normalise(text: str) -> str:
    """Return `text` in Unicode form NFC, with Unix line ends and no other control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
    return unicodedata.normalize("NFC", "".join(kept)).strip()
