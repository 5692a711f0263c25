"""How long `bloomery up` takes until all answer: this build and the one before, in turns.

`python -m tests.benchmarks start`; `BLOOMERY_BENCH_BEFORE` names a checkout of the build before.
`first` is over an empty home, where the databases are made, `again` over the same home. The seconds
of processors are those of all processes of the stack: neighbours on a machine change them least.
"""

import os
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from tests.benchmarks.before import ROOT, checkout, console_script
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work, num_turns
from tests.infra.stacks import environment

_READY = "stops everything"
_WHEN = ("first", "again")


class Start(NamedTuple):
    """What one start took."""

    seconds: float
    """By the clock, from the command to its table."""
    cpu_seconds: float
    """Of all processes until then."""


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    named = os.environ.get("BLOOMERY_BENCH_BEFORE")
    found = dict[tuple[str, str], list[Start]]()
    with checkout(Path(named) if named else None) as before:
        for turn in range(num_turns()):
            for name, root in (("this build", ROOT), ("before", before)):
                home = work.out / f"{name.replace(' ', '_')}_{turn}"
                for when in _WHEN:
                    start = _start(root, home)
                    found.setdefault((name, when), []).append(start)
                    say(f"turn {turn}, {name}, {when}: {start}")
    rows = [_row(name, when, found) for name, when in found]
    show("`bloomery up` until all answer; ratios are medians of each turn's", rows)
    return rows


def _start(root: Path, home: Path) -> Start:
    here = {"PYTHONPATH": str(root), "BLOOMERY_PROJECT": str(root)}
    process = psutil.Popen(
        console_script(root, "up"),
        env=environment(home, **here),
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    began = process.create_time()
    try:
        said = list[str]()
        for line in process.stdout:
            said.append(line)
            if _READY in line:
                now = time.time()
                tree = [process, *process.children(recursive=True)]
                return Start(now - began, sum(sum(each.cpu_times()[:4]) for each in tree))
        raise RuntimeError("".join(said))
    finally:
        process.terminate()
        process.wait()


def _row(name: str, when: str, found: dict[tuple[str, str], list[Start]]) -> Row:
    mine, theirs = found[name, when], found["before", when]
    pairs = list(zip(mine, theirs, strict=True))
    return {
        "build": name,
        "when": when,
        "seconds": round(median(each.seconds for each in mine), 1),
        "seconds of before": round(median(a.seconds / b.seconds for a, b in pairs), 2),
        "cpu_seconds": round(median(each.cpu_seconds for each in mine), 1),
        "of before": round(median(a.cpu_seconds / b.cpu_seconds for a, b in pairs), 2),
    }
