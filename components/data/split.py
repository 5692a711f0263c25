"""Split: documents -> three fixed splits."""

import hashlib
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from components.core.artifacts.data import Corpus, DocumentShards
from components.core.component import Component
from components.data.pieces import documents_of

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Split(Component[DocumentShards, Corpus]):
    """Split by a hash of the text, so that a document's split depends on nothing else.

    Writes `train.jsonl`, `validation.jsonl` and `test.jsonl`, one document a line.
    """

    version: ClassVar[str] = "1.0.0"

    validation_percent: int = Field(default=5, ge=1, le=40)
    """Share of the documents that training is validated on."""
    test_percent: int = Field(default=5, ge=1, le=40)
    """Share of the documents that only the probe and the baselines see."""

    def run(self, inputs: DocumentShards, out: Path) -> Corpus:
        """Write the splits.

        Raises:
            ValueError: a split would be empty.
        """
        documents, sizes = Counter[str](), Counter[str]()
        with ExitStack() as files:
            streams = {
                name: files.enter_context((out / f"{name}.jsonl").open("w", encoding="utf-8"))
                for name in SPLITS
            }
            for document in documents_of(inputs):
                content = document.text.encode()
                name = self.split_of(hashlib.sha256(content).digest())
                documents[name] += 1
                sizes[name] += len(content)
                streams[name].write(document.model_dump_json() + "\n")
        for name in SPLITS:
            if not documents[name]:
                raise ValueError(
                    f"No document is left for {name}: {dict(documents)} of "
                    f"{inputs.num_documents}. Add documents with `bloomery data add`, cut text "
                    "files up with its --unit paragraph, or drop less."
                )
        return Corpus(path=out, num_documents=dict(documents), num_bytes=dict(sizes))

    def split_of(self, digest: bytes) -> SplitName:
        """Return the split of a document with this sha256."""
        percentile = int.from_bytes(digest[:8]) % 100
        if percentile < self.test_percent:
            return "test"
        held_out = self.test_percent + self.validation_percent
        return "validation" if percentile < held_out else "train"
