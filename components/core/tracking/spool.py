"""The spool: metrics as lines of a local file, so that no step waits for a tracking server.

A training process appends, whoever shows them follows: the tracker ships the lines to MLflow, the
Prefect step makes a progress bar of them.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

SPOOL = "metrics.jsonl"


class Point(TypedDict):
    """The metrics of one step."""

    step: int
    time: float
    metrics: dict[str, float]


def append(out: Path, step: int, metrics: dict[str, float]) -> None:
    """Append one point to the spool of `out`; `time` is Unix seconds."""
    point = Point(step=step, time=time.time(), metrics=metrics)
    with (out / SPOOL).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(point) + "\n")


def read(out: Path, offset: int = 0) -> Iterator[tuple[int, Point]]:
    """Yield (offset after the line, point) for every whole line of the spool from `offset` on."""
    file = out / SPOOL
    if not file.exists():
        return
    with file.open("rb") as stream:
        stream.seek(offset)
        while (line := stream.readline()).endswith(b"\n"):
            if line.strip():
                yield stream.tell(), json.loads(line)


def rewind(out: Path, step: int) -> None:
    """Blank out the points after `step`: a resumed run writes them again.

    What follows keeps its offset, so that a reader that follows keeps its place.
    """
    file = out / SPOOL

    def kept(line: bytes) -> bytes:
        is_kept = not line.strip() or json.loads(line)["step"] <= step
        return line if is_kept else b" " * (len(line) - 1) + b"\n"

    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    aside = out / f".{SPOOL}"
    aside.write_bytes(b"".join(kept(line) for line in lines if line.endswith(b"\n")))
    aside.replace(file)
