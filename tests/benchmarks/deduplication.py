"""Deduplication against datatrove's MinHash pipeline: the same documents, n-grams, bands, workers.

Ours finds exact duplicates and contained documents too. datatrove is run as it comes, with spaCy's
words, and with words parted by spaces, which costs it least. Each is a process that starts, works
and ends, in turns; start-up is part of it, so `BLOOMERY_BENCH_MEGABYTES` should not be small.
"""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from components.core.artifacts.data import DocumentShards
from components.core.settings import apply_environment
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from tests.benchmarks import datatrove_chain, generated_text
from tests.benchmarks.table import Row, show
from tests.benchmarks.work import Work

_MEGABYTES = "100"
_FILES = 8  # datatrove's workers take whole files
_WORKERS = 2
_TURNS = 2
_OURS, _DATATROVE, _SPACES = "Bloomery", "datatrove", "datatrove, words parted by spaces"
_FUNCTIONS = {_OURS: "ours", _DATATROVE: "datatrove", _SPACES: "datatrove_spaces"}


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    megabytes = int(os.environ.get("BLOOMERY_BENCH_MEGABYTES", _MEGABYTES).split(",")[0])
    documents = _documents(work.out, megabytes * 1_000_000)
    peers = [_OURS, *([_DATATROVE, _SPACES] if find_spec("datatrove") else [])]
    seconds = {name: list[float]() for name in peers}
    rows: dict[str, Row] = {}
    for turn in range(_TURNS):
        for name in peers:
            out = work.out / f"{_FUNCTIONS[name]}_{turn}"
            seconds[name].append(_timed(_FUNCTIONS[name], documents, out))
            rows[name] = {"deduplication": name} | found(out)
    for name, row in rows.items():
        row["megabytes_per_second"] = round(megabytes / median(seconds[name]), 2)
        ratios = [a / b for a, b in zip(seconds[name], seconds[_OURS], strict=True)]
        row["seconds_of_theirs_to_ours"] = round(median(ratios), 2)
    show(f"{megabytes} MB with a tenth of copies, {_WORKERS} workers", list(rows.values()))
    return list(rows.values())


def found(out: Path) -> Row:
    """Return the recall and precision of what is left of the known copies."""
    counts = json.loads((out / "found.json").read_text("utf-8"))
    return {name: round(counts[name], 4) for name in ("recall", "precision")}


def _timed(function: str, documents: Path, out: Path) -> float:
    out.mkdir()
    command = [sys.executable, "-m", "tests.benchmarks.deduplication", function]
    environment = {
        **os.environ,
        "BLOOMERY_HOME": str(out / "home"),
        "BLOOMERY_RAY_ADDRESS": "local",
        "BLOOMERY_NUM_THREADS": str(_WORKERS),
    }
    start = time.perf_counter()
    with (out / "log.txt").open("w") as log:
        subprocess.run(
            [*command, str(documents), str(out)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
    seconds = time.perf_counter() - start
    _count(documents, out)
    return seconds


def _documents(out: Path, num_bytes: int) -> Path:
    """Write the documents as several files of `kept/`."""
    generated = generated_text.write(out / "raw", num_bytes)
    (out / "in" / "kept").mkdir(parents=True)
    with (generated.path / "generated" / "documents.jsonl").open("rb") as lines:
        everything = lines.readlines()
    share = -(-len(everything) // _FILES)
    for number in range(_FILES):
        part = everything[number * share : (number + 1) * share]
        (out / "in" / "kept" / f"{number:05d}.jsonl").write_bytes(b"".join(part))
    return out / "in"


def _count(documents: Path, out: Path) -> None:
    ids, kept = _ids(documents / "kept"), set(_ids(out / "kept"))
    taken = [name for name in ids if name not in kept]
    copies = [name for name in ids if name.startswith(generated_text.COPY)]
    right = [name for name in taken if name.startswith(generated_text.COPY)]
    answer = {"recall": len(right) / len(copies), "precision": len(right) / max(1, len(taken))}
    (out / "found.json").write_text(json.dumps(answer), encoding="utf-8")


def _ids(folder: Path) -> list[str]:
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line)["id"] for file in files for line in file.open(encoding="utf-8")]


def ours(documents: Path, out: Path) -> None:
    """Deduplicate with our component, without its planted set."""
    apply_environment()
    shards = DocumentShards(path=documents, num_documents=0, num_bytes=0, dropped={})
    Deduplicate(num_planted=0).run(DeduplicateInputs(documents=shards), _empty(out / "made"))
    (out / "made" / "kept").rename(out / "kept")


def datatrove(documents: Path, out: Path) -> None:
    """Deduplicate with datatrove as it comes."""
    datatrove_chain.deduplicate(documents / "kept", out, _FILES, _WORKERS)


def datatrove_spaces(documents: Path, out: Path) -> None:
    """Deduplicate with datatrove, its words parted by spaces."""
    words = datatrove_chain.spaces()
    datatrove_chain.deduplicate(documents / "kept", out, _FILES, _WORKERS, words)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    {"ours": ours, "datatrove": datatrove, "datatrove_spaces": datatrove_spaces}[sys.argv[1]](
        Path(sys.argv[2]), Path(sys.argv[3])
    )
