"""Time and memory of the data steps on more and more text, on two workers.

`python -m tests.benchmarks data_size`; `BLOOMERY_BENCH_MEGABYTES=20,40,80` are smaller sizes. The
steps run in a process of their own, whose whole tree is watched; `data_size.svg` is the picture.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel

from components.core.artifacts import RawData
from components.core.component import Component
from components.core.settings import apply_environment, settings
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.split import Split
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary
from tests.benchmarks import generated_text
from tests.benchmarks.table import Row, show
from tests.benchmarks.work import Work

_MEGABYTES = "500,1000,2000"
_STEPS = ("clean", "deduplicate", "split", "vocabulary", "tokenize")
_ENVIRONMENT = {"BLOOMERY_RAY_ADDRESS": "local", "BLOOMERY_NUM_THREADS": "2"}


def run(work: Work) -> list[Row]:
    """Measure, show the table, draw the picture and return the rows."""
    sizes = [int(s) for s in os.environ.get("BLOOMERY_BENCH_MEGABYTES", _MEGABYTES).split(",")]
    rows = [measure(megabytes, work.out / f"{megabytes}") for megabytes in sizes]
    show("The data steps by size of the text, two workers (PSS of all processes)", rows)
    draw(rows, settings().home.resolve() / "data_size.svg")
    return rows


def measure(megabytes: int, out: Path) -> Row:
    """Run the steps on so much text in a process of its own, and watch it."""
    raw = generated_text.write(out / "raw", megabytes * 1_000_000)
    environment = {**os.environ, **_ENVIRONMENT, "BLOOMERY_HOME": str(out / "home")}
    command = [sys.executable, "-m", "tests.benchmarks.data_size", str(out), raw.model_dump_json()]
    peak = 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.2)
        assert process.stdout is not None
        seconds: dict[str, float] = json.loads(process.stdout.read())
    row: Row = {"megabytes": megabytes}
    row |= {f"{name}_seconds": round(value, 1) for name, value in seconds.items()}
    row["seconds_per_gigabyte"] = round(sum(seconds.values()) / megabytes * 1000)
    return row | {"peak_MiB": round(peak / (1 << 20))} | found(out / "deduplicate")


def resident(pid: int) -> float:
    """Return the bytes of memory of a process and all below it; shared ones count once."""
    total = 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return total
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def found(folder: Path) -> Row:
    """Return which of the known copies were left out, and what of the rest."""
    taken = _ids(folder / "rejects")
    kept = _ids(folder / "kept")
    copies = [name for name in taken if name.startswith("copy/")]
    missed = [name for name in kept if name.startswith("copy/")]
    return {
        "documents": len(taken) + len(kept),
        "recall": round(len(copies) / max(1, len(copies) + len(missed)), 4),
        "precision": round(len(copies) / max(1, len(taken)), 4),
    }


def _ids(folder: Path) -> list[str]:
    found: list[str] = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                match = re.search(r'"id": ?"([^"]*)"', line[:500])
                assert match, line[:500]
                found.append(match[1])
    return found


def draw(rows: list[Row], file: Path) -> None:
    """Draw seconds and memory over the size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [float(row["megabytes"]) / 1000 for row in rows]
    for name in _STEPS:
        left.plot(sizes, [float(row[f"{name}_seconds"]) for row in rows], "o-", label=name)
    right.plot(sizes, [float(row["peak_MiB"]) / 1024 for row in rows], "o-")
    left.set(xlabel="text, GB", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    right.set(xlabel="text, GB", ylabel="resident memory, GiB", xlim=(0, None), ylim=(0, 3))
    left.legend()
    figure.savefig(file)


def _chain(out: Path, raw: RawData) -> dict[str, float]:
    """Run the steps and return the seconds of each."""
    apply_environment()
    seconds: dict[str, float] = {}

    def made(name: str, component: Component[Any, Any], inputs: BaseModel) -> Any:
        (out / name).mkdir()
        start = time.perf_counter()
        artifact = component.run(inputs, out / name)
        seconds[name] = time.perf_counter() - start
        return artifact

    clean = made("clean", Clean(), raw)
    distinct = made("deduplicate", Deduplicate(), DeduplicateInputs(documents=clean))
    corpus = made("split", Split(), distinct)
    vocabulary = made("vocabulary", TrainVocabulary(vocab_size=8192), corpus)
    made("tokenize", Tokenize(), TokenizeInputs(corpus=corpus, vocabulary=vocabulary))
    return seconds


if __name__ == "__main__":
    answer = _chain(Path(sys.argv[1]), RawData.model_validate_json(sys.argv[2]))
    sys.stdout.write(json.dumps(answer) + "\n")
