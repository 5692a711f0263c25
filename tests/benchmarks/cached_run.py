"""A run of which every step was made before: this build, the one before, and three imports.

`python -m tests.benchmarks cached_run`; `BLOOMERY_BENCH_BEFORE` names a checkout of the build
before, else commit 805fcbe is checked out into a temporary folder. Each build first runs the recipe
`smoke` into a home of its own, which is not measured. Seconds of processors are those of all
processes, the temporary server's too.
"""

import os
import sys
from pathlib import Path
from statistics import median

from tests.benchmarks.before import ROOT, checkout, console_script
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.watch import Used, watched
from tests.benchmarks.work import Work, num_turns

_IMPORTS = "import prefect, mlflow, transformers"


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    named = os.environ.get("BLOOMERY_BENCH_BEFORE")
    with checkout(Path(named) if named else None) as before:
        builds = {"this build": ROOT, "before": before}
        commands = {
            name: (
                console_script(root, "run", "--recipe", "smoke"),
                _environment(root, name, work),
                work.out / "log.txt",
                root,
            )
            for name, root in builds.items()
        }
        for name, command in commands.items():
            say(f"first run of {name}, not measured")
            watched(*command)
        commands["imports"] = ([sys.executable, "-c", _IMPORTS], {}, work.out / "log.txt", ROOT)
        turns = [
            {name: watched(*command) for name, command in commands.items()}
            for _ in range(num_turns())
        ]
    rows = [_row(name, turns) for name in commands]
    show("A run that finds everything made; ratios are medians of each turn's", rows)
    return rows


def _environment(root: Path, name: str, work: Work) -> dict[str, str]:
    home = work.out / name.replace(" ", "_")
    return {
        "PYTHONPATH": str(root),
        "BLOOMERY_HOME": str(home),
        "BLOOMERY_PROJECT": str(root),
        "BLOOMERY_RAY_ADDRESS": "off",
    }


def _row(name: str, turns: list[dict[str, Used]]) -> Row:
    used = [turn[name] for turn in turns]

    def share(of: str, field: str) -> float:
        return round(median(getattr(t[name], field) / getattr(t[of], field) for t in turns), 3)

    return {
        "command": name,
        "cpu_seconds": round(median(each.cpu_seconds for each in used), 2),
        "of before": share("before", "cpu_seconds"),
        "of the imports": share("imports", "cpu_seconds"),
        "seconds": round(median(each.seconds for each in used), 2),
        "seconds of before": share("before", "seconds"),
    }
