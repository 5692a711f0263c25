"""Quality rules on real text: our cleaning step against datatrove's own local executor.

The same documents in two files, the same rules, two workers each, starts included; both write what
stays and what does not. The peers take turns, and must keep the same documents.
"""

import os
import shutil
import time
from pathlib import Path

from components.core.artifacts import RawData
from components.data import library, speeches
from components.data.clean import WEB
from components.data.document import Document, write_documents
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work

_WORKERS = 2
_PARAGRAPHS = 4
_TURNS = 2
STEP = WEB.model_copy(
    update={
        "min_characters": 1,
        "sniff_html": False,
        "boilerplate": (),
        "languages": (),
        "identify_language": False,
        "repair_encoding": False,
    }
)


def run(work: Work) -> list[Row]:
    """Clean the same documents in turns and show the rates."""
    raw = _documents(work.out / "raw")
    size = sum(file.stat().st_size for file in work.out.glob("raw/*/*.jsonl")) / 1e6
    seconds: dict[str, list[float]] = {"ours": [], "datatrove": []}
    kept: dict[str, int] = {}
    for _ in range(int(os.environ.get("BLOOMERY_BENCH_TURNS", _TURNS))):
        for name, peer in (("ours", _ours), ("datatrove", _datatrove)):
            out = work.out / name
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            since = time.perf_counter()
            kept[name] = peer(raw, out)
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


def _documents(folder: Path) -> RawData:
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
    return RawData(path=folder, revision="bench", sources=names)


def _ours(raw: RawData, out: Path) -> int:
    return STEP.run(raw, out).num_documents


def _datatrove(raw: RawData, out: Path) -> int:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import filters
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    def rejects(name: str) -> JsonlWriter:
        return JsonlWriter(str(out / "rejects" / name), compression=None)

    LocalPipelineExecutor(
        [
            JsonlReader(str(raw.path), glob_pattern="*/documents.jsonl"),
            filters.GopherRepetitionFilter(exclusion_writer=rejects("repetition")),
            filters.GopherQualityFilter(exclusion_writer=rejects("quality")),
            filters.C4QualityFilter(exclusion_writer=rejects("c4"), filter_no_terminal_punct=False),
            filters.FineWebQualityFilter(exclusion_writer=rejects("fineweb")),
            JsonlWriter(str(out / "kept"), compression=None),
        ],
        tasks=_WORKERS,
        workers=_WORKERS,
        logging_dir=str(out / "logs"),
    ).run()
    return sum(1 for file in (out / "kept").iterdir() for _ in file.open("rb"))
