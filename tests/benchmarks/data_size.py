"""The whole chain of the data steps on more and more text: processor seconds, memory, recalls.

`python -m tests.benchmarks data_size`; `BLOOMERY_BENCH_MEGABYTES=20,40,80` are smaller sizes. The
steps run in a process of their own, whose whole tree is watched; `data_size.svg` is the picture.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.core.artifacts.data import Documents
from components.core.component import Component
from components.core.processes.ray_driver import kept_ray
from components.core.settings import apply_environment, settings
from components.data.clean import Clean
from components.data.decontaminate import Decontaminate, DecontaminateInputs
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.mask import Mask
from components.data.scan import Scan, ScanInputs
from components.data.split import Split
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary
from tests.benchmarks import generated_text
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.watch import watched
from tests.benchmarks.work import Work

_MEGABYTES = "500,1000,2000"
_STEPS = (
    "clean",
    "deduplicate",
    "decontaminate",
    "mask",
    "split",
    "vocabulary",
    "tokenize",
    "scan",
)
_ENVIRONMENT = {"BLOOMERY_RAY_ADDRESS": "local", "BLOOMERY_NUM_THREADS": "2"}


def run(work: Work) -> list[Row]:
    """Measure, show the table, draw the picture and return the rows."""
    rows: list[Row] = []
    for size in os.environ.get("BLOOMERY_BENCH_MEGABYTES", _MEGABYTES).split(","):
        rows.append(measure(int(size), work.out / size))
        say(json.dumps(rows[-1]))
        draw(rows, settings().home.resolve() / "data_size.svg")
    show("The data steps by size of the text, two workers (PSS of all processes)", rows)
    return rows


def measure(megabytes: int, out: Path) -> Row:
    """Run the steps on so much text in a process of its own, and watch it."""
    documents = generated_text.write(out / "raw", megabytes * 1_000_000)
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.data_size",
        str(out),
        documents.model_dump_json(),
    ]
    environment = {**_ENVIRONMENT, "BLOOMERY_HOME": str(out / "home")}
    used = watched(command, environment, out / "log.txt")
    seconds: dict[str, float] = json.loads(used.output)
    row: Row = {"megabytes": megabytes, "cpu_seconds": round(used.cpu_seconds)}
    row |= {f"{name}_seconds": round(value, 1) for name, value in seconds.items()}
    return row | {"peak_MiB": round(used.peak_bytes / (1 << 20))} | found(out)


def found(out: Path) -> Row:
    """Return which of the known copies and leaks were left out, and what of the rest."""
    taken, kept = _ids(out / "deduplicate" / "rejects"), _ids(out / "deduplicate" / "kept")
    copies, missed = _starting(taken, generated_text.COPY), _starting(kept, generated_text.COPY)
    leaks = _starting(_ids(out / "decontaminate" / "rejects"), generated_text.LEAK)
    leaked = _starting(_ids(out / "decontaminate" / "kept"), generated_text.LEAK)
    return {
        "documents": len(taken) + len(kept),
        "copies_found": round(copies / max(1, copies + missed), 4),
        "precision": round(copies / max(1, len(taken)), 4),
        "leaks_found": round(leaks / max(1, leaks + leaked), 4),
    }


def _starting(ids: list[str], kind: str) -> int:
    return sum(name.startswith(kind) for name in ids)


def _ids(folder: Path) -> list[str]:
    found: list[str] = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                match = re.search(r'"id": ?"([^"]*)"', line)
                assert match, line[:500]
                found.append(match[1])
    return found


def draw(rows: list[Row], file: Path) -> None:
    """Draw seconds and memory over the size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [float(row["megabytes"]) / 1000 for row in rows]
    left.plot(sizes, [float(row["cpu_seconds"]) for row in rows], "ko-", label="all, CPU seconds")
    for name in _STEPS:
        left.plot(sizes, [float(row[f"{name}_seconds"]) for row in rows], ".-", label=name)
    right.plot(sizes, [float(row["peak_MiB"]) / 1024 for row in rows], "ko-")
    left.set(xlabel="text, GB", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    right.set(xlabel="text, GB", ylabel="memory of all processes, GiB", xlim=(0, None), ylim=(0, 3))
    left.legend(fontsize="small")
    figure.savefig(file)


def _chain(out: Path, documents: Documents) -> dict[str, float]:
    """Run the steps and return the seconds of each."""
    apply_environment()
    seconds: dict[str, float] = {}

    def made(component: Component[Any, Any], inputs: BaseModel) -> Any:
        name = _STEPS[len(seconds)]
        (out / name).mkdir()
        start = time.perf_counter()
        artifact = component.run(inputs, out / name)
        seconds[name] = time.perf_counter() - start
        return artifact

    sets = generated_text.evaluation_beside(documents)
    with kept_ray():
        clean = made(Clean(), documents)
        distinct = made(Deduplicate(), DeduplicateInputs(documents=clean))
        unseen = made(Decontaminate(), DecontaminateInputs(documents=distinct, evaluation=sets))
        masked = made(Mask(), unseen)
        corpus = made(Split(), masked)
        vocabulary = made(TrainVocabulary(vocab_size=8192), corpus)
        shards = made(Tokenize(), TokenizeInputs(corpus=corpus, vocabulary=vocabulary))
        made(Scan(), ScanInputs(shards=shards, vocabulary=vocabulary, evaluation=sets))
    return seconds


if __name__ == "__main__":
    answer = _chain(Path(sys.argv[1]), Documents.model_validate_json(sys.argv[2]))
    sys.stdout.write(json.dumps(answer) + "\n")
