"""Quality rules on real text: our cleaning step against datatrove's own local executor.

The same documents in two files, the same rules, two workers each, starts included; both write what
stays and what does not. The peers take turns, and must keep the same documents.
"""

import os
import shutil
import time
from pathlib import Path

from components.core.artifacts.data import Documents
from components.data.document import Document, write_documents
from components.data.repository import library, speeches
from tests.benchmarks import datatrove_chain
from tests.benchmarks.chain import CLEAN
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work

_WORKERS = 2
_PARAGRAPHS = 4
_TURNS = 2


def run(work: Work) -> list[Row]:
    """Clean the same documents in turns and show the rates."""
    documents = _documents(work.out / "raw")
    size = sum(file.stat().st_size for file in work.out.glob("raw/*/*.jsonl")) / 1e6
    seconds: dict[str, list[float]] = {"ours": [], "datatrove": []}
    kept: dict[str, int] = {}
    for _ in range(int(os.environ.get("BLOOMERY_BENCH_TURNS", _TURNS))):
        for name, peer in (("ours", _ours), ("datatrove", _datatrove)):
            out = work.out / name
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            since = time.perf_counter()
            kept[name] = peer(documents, out)
            seconds[name].append(time.perf_counter() - since)
            say(f"{name}: {seconds[name][-1]:.1f} s")
    rows: list[Row] = [
        {
            "cleaning": name,
            "MB_per_second": round(size / min(taken), 2),
            "documents_kept": kept[name],
            "ratio": round(min(seconds["datatrove"]) / min(taken), 2),
        }
        for name, taken in seconds.items()
    ]
    show(f"Cleaning by FineWeb's rules, {size:.1f} MB, {_WORKERS} workers", rows)
    return rows


def _documents(folder: Path) -> Documents:
    """Write pages of four paragraphs of speeches and documentation in one file a worker."""
    pages: list[Document] = []
    for source in (speeches, library):
        for document in source.documents():
            parts = document.text.split("\n\n")
            for start in range(0, len(parts), _PARAGRAPHS):
                text = "\n".join(parts[start : start + _PARAGRAPHS])
                pages.append(Document(id=f"{document.id}/{start}", text=text))
    names = tuple(f"part_{number}" for number in range(_WORKERS))
    for number, name in enumerate(names):
        write_documents(folder / name / "documents.jsonl", pages[number::_WORKERS])
    return Documents(path=folder, revision="bench", sources=names)


def _ours(documents: Documents, out: Path) -> int:
    return CLEAN.run(documents, out).num_documents


def _datatrove(documents: Documents, out: Path) -> int:
    datatrove_chain.clean(documents, out, _WORKERS, _WORKERS)
    return sum(1 for file in (out / "clean").iterdir() for _ in file.open("rb"))
