"""What became of a document that no pretraining saw: which step dropped it, and why.

Every step of the data stage keeps what it leaves out in `rejects/*.jsonl`, and its record names the
folder that it read, so that the way back from the token shards finds it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.record import RECORD, read_record
from components.lib.ledger.seen import DocumentDropped

_SNIPPET_CHARACTERS = 200


def dropped(shards: Path, name: str) -> DocumentDropped | None:
    """Return what dropped the document `name` on its way into `shards`, None if nothing did."""
    for folder in _made_of(shards):
        for file in sorted((folder / "rejects").glob("*.jsonl")):
            if (row := _row(file, name)) is not None:
                return DocumentDropped(
                    id=name,
                    step=read_record(folder).component,
                    path=str(folder),
                    reason=row["reason"],
                    in_favour_of=row.get("of", ""),
                    shared_with=row["metadata"].get("evaluation_items", ""),
                    text=" ".join(row["text"].split())[:_SNIPPET_CHARACTERS],
                )
    return None


def _made_of(folder: Path) -> Iterator[Path]:
    """Yield the folders of the steps that a folder was made by way of, the last first."""
    level = [folder]
    seen = set[Path]()
    while level:
        found = [each for each in level if (each / RECORD).exists() and each not in seen]
        seen |= {*found}
        yield from found
        level = [source.path for each in found for source in read_record(each).inputs.values()]


def _row(file: Path, name: str) -> dict[str, Any] | None:
    """Return the row of a document; lines without its name are not parsed."""
    quoted = json.dumps(name, ensure_ascii=False)
    with file.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if quoted in line and (row := json.loads(line))["id"] == name:
                return row
    return None
