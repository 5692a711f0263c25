"""Deduplicate: documents -> documents of which no two are the same."""

import hashlib
from pathlib import Path
from typing import ClassVar

from components.core.artifacts import DocumentShards
from components.core.component import Component
from components.data.pieces import Sieve, cut, gathered, kept_files


class Deduplicate(Component[DocumentShards, DocumentShards]):
    """Keep the first of the documents that have one text."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DocumentShards, out: Path) -> DocumentShards:
        """Write the documents that stay, and those that do not with the reason."""
        seen: set[bytes] = set()
        answers = []
        for piece in cut(kept_files(inputs)):
            with Sieve(piece, out) as sieve:
                for document in piece.documents():
                    digest = hashlib.sha256(document.text.encode()).digest()
                    if digest in seen:
                        sieve.drop(document, "duplicate")
                    else:
                        seen.add(digest)
                        sieve.keep(document)
            answers.append(sieve.answer())
        return gathered(out, answers)
