"""The work of a data step, cut into runs of whole documents that workers take one at a time.

A piece is a range of bytes of a file of one document a line, so memory is bounded by the piece and
what is written does not depend on the number of workers. What is more than a piece's worth goes
through a Ray Data job; less, or all if `BLOOMERY_RAY_ADDRESS=off`, is done in this process.
"""

import importlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import DocumentShards, SourceCount
from components.core.processes.ray_driver import run_on_ray
from components.core.settings import settings
from components.data.document import Document

PIECE_BYTES = 16 << 20

KEPT, REJECTS = "kept", "rejects"


class Piece(Frozen):
    """A run of whole documents of one file."""

    number: int
    """Place among the pieces, from 0: what comes of piece 3 is written to `00003`."""
    file: str
    """File of one document a line."""
    start: int
    """Offset of the first byte."""
    end: int
    """Offset after the last byte."""

    def documents(self) -> Iterator[Document]:
        """Yield the documents."""
        with Path(self.file).open("rb") as lines:
            lines.seek(self.start)
            while lines.tell() < self.end:
                yield Document.model_validate_json(lines.readline())


def cut(files: Iterable[Path], piece_bytes: int = PIECE_BYTES) -> list[Piece]:
    """Cut files at line ends into pieces of about `piece_bytes`; no piece is of two files."""
    pieces: list[Piece] = []
    for file in files:
        start, size = 0, file.stat().st_size
        with file.open("rb") as lines:
            while start < size:
                lines.seek(min(start + piece_bytes, size) - 1)
                lines.readline()
                end = lines.tell()
                pieces.append(Piece(number=len(pieces), file=str(file), start=start, end=end))
                start = end
    return pieces


def kept_files(shards: DocumentShards) -> list[Path]:
    """Return the files that hold the documents of `shards`, in order."""
    return sorted((shards.path / KEPT).glob("*.jsonl"))


def documents_of(shards: DocumentShards) -> Iterator[Document]:
    """Yield the documents of `shards`, in order."""
    for piece in cut(kept_files(shards)):
        yield from piece.documents()


Work = Callable[[Piece, Path, dict[str, Any]], dict[str, Any]]
"""What a worker does: of a piece, the folder to write under and the step's JSON payload it makes
files, and returns a small JSON answer."""


def work_through(
    work: str, pieces: Sequence[Piece], out: Path, payload: dict[str, Any]
) -> list[dict[str, Any]]:
    """Call `work` ("package.module:function", a `Work`) for each piece; return the answers.

    Raises ValueError if a call did, with the same message.
    """
    calls = [
        {"work": work, "piece": piece.model_dump(), "out": str(out), "payload": payload}
        for piece in pieces
    ]
    size = sum(piece.end - piece.start for piece in pieces)
    if settings().ray_address == "off" or size <= PIECE_BYTES:
        return [_call(call)["answer"] for call in calls]
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        answers = Path(folder) / "answers.json"
        run_on_ray(f"{__name__}:ray_work", {"calls": calls, "answers": str(answers)})
        return json.loads(answers.read_text("utf-8"))


def ray_work(payload: dict[str, Any]) -> None:
    """Make every call in a Ray Data job; runs in a driver process with Ray."""
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    calls = ({"call": json.dumps(call)} for call in payload["calls"])
    done = ray.data.from_items(list(calls)).map(_ray_call).take_all()
    if refused := [row["error"] for row in done if row["error"]]:
        raise ValueError(refused[0])
    answers = sorted((json.loads(row["answer"]) for row in done), key=lambda row: row["number"])
    Path(payload["answers"]).write_text(json.dumps([row["answer"] for row in answers]), "utf-8")


def _ray_call(row: dict[str, str]) -> dict[str, str]:
    try:
        return {"answer": json.dumps(_call(json.loads(row["call"]))), "error": ""}
    except ValueError as error:  # Ray would make another class of it, with its own traceback
        return {"answer": "", "error": str(error)}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    module, name = call["work"].split(":")
    work: Work = getattr(importlib.import_module(module), name)
    piece = Piece.model_validate(call["piece"])
    return {"number": piece.number, "answer": work(piece, Path(call["out"]), call["payload"])}


class Sieve:
    """Writes what a step keeps of a piece, and what it does not with the reason, and counts both.

    It is a context manager; its files appear under their names when it ends without an error.
    """

    def __init__(self, piece: Piece, out: Path) -> None:
        """Open the files of `piece` under `out`."""
        self._files = {name: out / name / f"{piece.number:05d}.jsonl" for name in (KEPT, REJECTS)}
        self._streams: dict[str, TextIO] = {}
        self._documents, self._bytes = Counter[str](), Counter[str]()
        self._dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.counts = Counter[str]()
        """What else the step counts."""

    def __enter__(self) -> "Sieve":
        """Open the files."""
        for name, file in self._files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._streams[name] = _aside(file).open("w", encoding="utf-8", newline="\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the files; without an error, give them their names."""
        for name, stream in self._streams.items():
            stream.close()
            if kind is None:
                _aside(self._files[name]).replace(self._files[name])

    def keep(self, document: Document) -> None:
        """Pass a document on."""
        self._documents[document.source] += 1
        self._bytes[document.source] += len(document.text.encode())
        self._streams[KEPT].write(document.model_dump_json() + "\n")

    def drop(self, document: Document, reason: str, **details: str) -> None:
        """Leave a document out, for a reason of one or two words; `details` go into its row."""
        self._dropped[document.source][reason] += 1
        row = {"reason": reason, **details} | document.model_dump()
        self._streams[REJECTS].write(json.dumps(row, ensure_ascii=False) + "\n")

    def answer(self) -> dict[str, Any]:
        """Return the counts, as `gathered` takes them."""
        return {
            "documents": self._documents,
            "bytes": self._bytes,
            "dropped": self._dropped,
            "counts": self.counts,
        }


def gathered(out: Path, answers: Sequence[dict[str, Any]]) -> DocumentShards:
    """Return what the pieces' answers add up to."""
    documents, sizes, counts = Counter[str](), Counter[str](), Counter[str]()
    dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        documents.update(answer["documents"])
        sizes.update(answer["bytes"])
        counts.update(answer["counts"])
        for source, reasons in answer["dropped"].items():
            dropped[source].update(reasons)
    return DocumentShards(
        path=out,
        num_documents=documents.total(),
        num_bytes=sizes.total(),
        dropped=_sorted(sum(dropped.values(), Counter())),
        counts=_sorted(counts),
        by_source={
            source: SourceCount(
                documents=documents[source], bytes=sizes[source], dropped=_sorted(dropped[source])
            )
            for source in sorted({*documents, *dropped})
        },
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _aside(file: Path) -> Path:
    return file.with_name(f".{file.name}")
