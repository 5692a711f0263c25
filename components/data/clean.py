"""Clean: raw documents -> normalised, distinct documents in three fixed splits."""

import hashlib
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from components.core.artifacts import Corpus, RawData
from components.core.component import Component
from components.data.document import Document, read_documents

logger = logging.getLogger(__name__)

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Clean(Component[RawData, Corpus]):
    """Normalise, drop what is empty, short or seen before, and split by a hash of the text.

    Writes `train.jsonl`, `validation.jsonl`, `test.jsonl` (one document a line) and
    `dropped.jsonl` (id and reason of every document that was left out).
    """

    version: ClassVar[str] = "1.0.0"

    min_characters: int = Field(default=200, ge=1)
    """Shorter documents are dropped."""
    validation_percent: int = Field(default=5, ge=1, le=40)
    """Share of the documents that training is validated on."""
    test_percent: int = Field(default=5, ge=1, le=40)
    """Share of the documents that only the probe and the baselines see."""

    def run(self, inputs: RawData, out: Path) -> Corpus:
        """Write the splits.

        Raises:
            ValueError: a split would be empty.
        """
        documents, sizes, dropped = Counter[str](), Counter[str](), Counter[str]()
        seen: set[bytes] = set()
        with ExitStack() as files:
            streams = {
                name: files.enter_context((out / f"{name}.jsonl").open("w", encoding="utf-8"))
                for name in (*SPLITS, "dropped")
            }
            for document in _documents(inputs):
                text = normalise(document.text)
                digest = hashlib.sha256(text.encode()).digest()
                if reason := self._reason_to_drop(text, digest in seen):
                    dropped[reason] += 1
                    line = Document(id=document.id, text="", metadata={"reason": reason})
                    streams["dropped"].write(line.model_dump_json() + "\n")
                    continue
                seen.add(digest)
                split = self.split_of(digest)
                documents[split] += 1
                sizes[split] += len(text.encode())
                line = document.model_copy(update={"text": text})
                streams[split].write(line.model_dump_json() + "\n")
        self._check(documents, dropped)
        logger.info("kept %s, dropped %s", dict(documents), dict(dropped))
        return Corpus(
            path=out,
            num_documents=dict(documents),
            num_bytes=dict(sizes),
            dropped=dict(sorted(dropped.items())),
        )

    def split_of(self, digest: bytes) -> Split:
        """Return the split of a document with this sha256: the same whatever else there is."""
        percentile = int.from_bytes(digest[:8]) % 100
        if percentile < self.test_percent:
            return "test"
        held_out = self.test_percent + self.validation_percent
        return "validation" if percentile < held_out else "train"

    def _reason_to_drop(self, text: str, is_duplicate: bool) -> str | None:
        if not text:
            return "empty"
        if len(text) < self.min_characters:
            return "short"
        return "duplicate" if is_duplicate else None

    def _check(self, documents: Counter[str], dropped: Counter[str]) -> None:
        for split in SPLITS:
            if not documents[split]:
                raise ValueError(
                    f"No document is left for {split}: kept {dict(documents)}, dropped "
                    f"{dict(dropped)}. Add documents with `bloomery data add`, or lower "
                    f"min_characters ({self.min_characters})."
                )


def normalise(text: str) -> str:
    """Return `text` in Unicode form NFC, with Unix line ends and no other control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def _documents(data: RawData) -> Iterator[Document]:
    for source in data.sources:
        yield from read_documents(data.path / source / "documents.jsonl")
