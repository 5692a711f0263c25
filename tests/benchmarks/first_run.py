"""The first `make run` after the install: this commit beside an older one, cold homes, in turns.

`python -m tests.benchmarks first_run`; both run in fresh clones with this environment's packages.
`BLOOMERY_BENCH_COMMIT` is the other commit, `BLOOMERY_BENCH_RECIPE` the recipe. Processor seconds
are the steadier number: neighbours on a machine change the clock's by several times.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.benchmarks.before import BEFORE, ROOT, console_script
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.watch import Used, watched
from tests.benchmarks.work import Work, num_turns

_STAGES = ("pretrain.train", "finetune.sft", "align.dpo", "compress.quantize")


class Build(NamedTuple):
    """A commit, checked out by itself."""

    name: str
    folder: Path

    def command(self) -> list[str]:
        """Return what `make run` runs, by this process's Python."""
        recipe = os.environ.get("BLOOMERY_BENCH_RECIPE", "tiny")
        return console_script(self.folder, "run", "--recipe", recipe)


class FirstRun(NamedTuple):
    """One run of a build, and the scores of what it made."""

    build: str
    used: Used
    scores: dict[str, float]


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    commit = os.environ.get("BLOOMERY_BENCH_COMMIT", BEFORE)
    builds = [_clone(commit, work.out / "old"), _clone("HEAD", work.out / "new")]
    runs: list[FirstRun] = []
    for turn in range(min(num_turns(), 3)):
        for build in builds:
            runs.append(_first_run(build, work.out / f"{build.folder.name}_{turn}"))
            say(f"turn {turn}, {json.dumps(_row([runs[-1]], [runs[-1]]))}")
    of = {build.name: [one for one in runs if one.build == build.name] for build in builds}
    rows = [_row(of[build.name], of[builds[0].name]) for build in builds]
    show("The first run of a fresh clone, medians; ratios are to the older commit", rows)
    return rows


def _clone(commit: str, folder: Path) -> Build:
    """Check a commit out into a clone of its own."""
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=folder, check=True)
    return Build(commit, folder)


def _first_run(build: Build, out: Path) -> FirstRun:
    out.mkdir()
    environment = {
        "PYTHONPATH": str(build.folder),
        "BLOOMERY_HOME": str(out / "home"),
        "BLOOMERY_PROJECT": str(build.folder),
    }
    used = watched(build.command(), environment, out / "log.txt", build.folder)
    return FirstRun(build.name, used, dict(_scores(out / "home" / "artifacts")))


def _scores(artifacts: Path) -> Iterator[tuple[str, float]]:
    """Yield bits per byte and accuracy after each stage, out of the records of the probes."""
    for file in artifacts.glob("evals.probe/*/*/artifact.json"):
        record: dict[str, Any] = json.loads(file.read_text("utf-8"))
        stage = Path(record["inputs"]["model"]["path"]).parts[-3]
        assert stage in _STAGES, stage
        yield f"{stage} bits per byte", record["artifact"]["bits_per_byte"]
        yield f"{stage} accuracy", record["artifact"]["accuracy"]


def _row(runs: list[FirstRun], to: list[FirstRun]) -> Row:
    seconds, cpu = (_median(runs, name) for name in ("seconds", "cpu_seconds"))
    row: Row = {
        "build": runs[0].build,
        "seconds": round(seconds),
        "of it": round(seconds / _median(to, "seconds"), 2),
        "cpu_seconds": round(cpu),
        "of them": round(cpu / _median(to, "cpu_seconds"), 2),
    }
    scored = [f"{stage} {what}" for stage in _STAGES for what in ("bits per byte", "accuracy")]
    found = {name: [one.scores[name] for one in runs] for name in scored}
    return row | {name: _range(values) for name, values in found.items()}


def _median(runs: list[FirstRun], name: str) -> float:
    return median(getattr(one.used, name) for one in runs)


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
