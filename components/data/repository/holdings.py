"""What `data/` holds: each dataset with its size, where it came from, and how it begins."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from components.core.artifacts.base import Frozen
from components.data.document import num_lines
from components.data.repository import builtin
from components.data.repository.dataset import EVALUATION, KINDS
from components.data.repository.dialogue_sets import about

_TEXT = ("text", "prompt")  # of a document, of a micro-task


class Holding(Frozen):
    """One dataset of `data/`."""

    name: str
    """Its folder below `data/`: the name, or `evaluation/` and the name."""
    kind: Literal["documents", "evaluation", "instructions", "preferences"]
    """What it is read as."""
    is_built_in: bool
    """Whether it is made from installed packages: those cannot be removed."""
    files: tuple[str, ...]
    """Its files, below `data/`."""
    rows: int
    """Documents, micro-tasks, dialogues or comparisons."""
    formats: dict[str, int]
    """Of dialogues and preferences: rows by the format that was recognised."""
    licenses: dict[str, int]
    """Of the same: rows by licence."""
    bytes: int
    """Size of its files."""


def holdings(project: Path) -> list[Holding]:
    """Return the datasets of `data/` by name. Raises ValueError if `data/` is not there."""
    data = project / "data"
    if not data.is_dir():
        raise ValueError(f"{data} is not there: `bloomery run data` or `dvc pull` brings it.")
    folders = [folder for folder in data.iterdir() if folder.name != EVALUATION]
    folders += (folder for kind in KINDS for folder in (data / kind).glob("*/"))
    found = [_holding(folder, data) for folder in sorted(folders) if folder.is_dir()]
    return [holding for holding in found if holding.files]


def holding(project: Path, name: str) -> Holding:
    """Return the dataset of this name. Raises ValueError with the names that there are."""
    found = {each.name: each for each in holdings(project)}
    named = [full for full in (name, *(f"{kind}/{name}" for kind in KINDS)) if full in found]
    if not named:
        short = name.removeprefix(f"{EVALUATION}/")
        raise ValueError(f"data/ has no {short!r}; it has: {', '.join(found) or 'nothing'}.")
    return found[named[0]]


def beginnings(project: Path, held: Holding, number: int) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the first rows."""
    for file in held.files[:1]:
        with (project / "data" / file).open(encoding="utf-8", newline="\n") as lines:
            for line in islice(lines, number):
                row: dict[str, Any] = json.loads(line)
                yield row["id"], _beginning(row)


def origin_of(state: Path, name: str) -> dict[str, Any] | None:
    """Return what the last ingest under this name left on this machine, as `Ingested` dumps it."""
    folder = state / "ingests" / name.rpartition("/")[2]
    summaries = [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))]
    kind = name.rpartition("/")[0] or "documents"
    good = [
        summary
        for summary in summaries
        if not summary["error"] and summary.get("kind", kind) == kind
    ]
    return good[-1] if good else None


def _beginning(row: dict[str, Any]) -> str:
    messages = row["prompt"] if "chosen" in row else row.get("messages")
    if messages is None:
        return next(row[name] for name in _TEXT if name in row)
    return "\n".join(f"{each['role']}: {each.get('content', '')}" for each in messages)


def _holding(folder: Path, data: Path) -> Holding:
    files = sorted(folder.glob("*.jsonl"), key=lambda file: (len(file.name), file.name))
    kind = folder.name if folder.parent == data else folder.parent.name
    known = about(folder)
    return Holding.model_validate(
        {
            "name": folder.relative_to(data).as_posix(),
            "kind": kind if kind in KINDS else "documents",
            "is_built_in": folder.parent == data and folder.name in builtin.NAMES,
            "files": [file.relative_to(data).as_posix() for file in files],
            "formats": {} if known is None else known.formats,
            "licenses": {} if known is None else known.licenses,
            "rows": sum(map(num_lines, files)),
            "bytes": sum(file.stat().st_size for file in files),
        }
    )
