"""Runs as their journals on this machine have them, without a server: scorecards and disk use."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from components.core.files import size_of
from components.core.journal import Run, Step, read_runs, read_steps
from components.core.record import RECORD, read_record
from components.core.settings import settings
from dashboards.text.report import Report, report_of


class DiskUse(NamedTuple):
    """The bytes of what a run made and of what it took from others."""

    made: int
    """Of the artifacts that it made."""
    shared: int
    """Of those that it was served and another run made: they count as that run's."""


def report_here(run_id: str) -> Report | None:
    """Return the scorecard of a flow run, also of one that is under way or did no work.

    None if this machine has no journal of it, or no longer has what it made.
    """
    folder = settings().runs / run_id
    try:
        return report_of(folder, Run.model_validate_json((folder / "run.json").read_bytes()))
    except (ValueError, FileNotFoundError):  # no journal, or an artifact is gone or damaged
        return None


def with_reads(run_id: str, steps: pd.DataFrame) -> pd.DataFrame:
    """Return the steps of a run with what each read, by its record where this machine has it.

    Prefect does not see what a step reads that runs beside others. A step is matched to its record
    by its component and its turn.
    """
    file = settings().runs / run_id / "steps.jsonl"
    noted = read_steps(file.parent) if file.exists() else []
    turns = {
        step.component: iter([s for s in noted if s.component == step.component]) for step in noted
    }
    made = {row["id"]: next(turns.get(row["step"], iter(())), None) for row in _rows(steps)}
    id_of = {step.path: each for each, step in made.items() if step is not None}
    reads = [_reads(made[row["id"]], id_of, row["reads"]) for row in _rows(steps)]
    return steps.assign(reads=pd.Series(reads, index=steps.index, dtype="object"))


def _rows(steps: pd.DataFrame) -> list[dict[Any, Any]]:
    return steps.to_dict("records")


def _reads(step: Step | None, id_of: dict[Path, str], otherwise: list[str]) -> list[str]:
    try:
        if step is None:
            return otherwise
        inputs = read_record(step.path).inputs.values()
    except (ValueError, FileNotFoundError):  # what it made is gone or damaged
        return otherwise
    return list(dict.fromkeys(id_of[source.path] for source in inputs if source.path in id_of))


def disk_use() -> dict[str, DiskUse]:
    """Return the disk use of every run, by its id.

    An artifact counts once: at the run that made it last. One that is gone counts nothing.
    """
    taken = {run.origin.run_id: read_steps(folder) for folder, run in read_runs()}
    maker: dict[Path, str] = {}
    for run_id, steps in taken.items():  # the newest first
        for step in steps:
            if not step.cached:
                maker.setdefault(step.path, run_id)
    return {run_id: _use(run_id, steps, maker) for run_id, steps in taken.items()}


def _use(run_id: str, steps: list[Step], maker: dict[Path, str]) -> DiskUse:
    sizes = {step.path: _bytes(step.path) for step in steps}
    made = sum(size for path, size in sizes.items() if maker.get(path) == run_id)
    return DiskUse(made, sum(sizes.values()) - made)


def _bytes(folder: Path) -> int:
    """Return the size of an artifact; a folder that is finished is measured once."""
    record = folder / RECORD
    return _measured(folder, record.stat().st_mtime_ns) if record.exists() else 0


@lru_cache(maxsize=100_000)
def _measured(folder: Path, made: int) -> int:
    return size_of(folder)
