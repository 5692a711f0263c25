"""The runs of this machine, as their journals have them: how each stands, and what it made."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.core.files import size_of
from components.core.journal import (
    Origin,
    RunState,
    process_of,
    read_runs,
    read_steps,
    state_of,
)
from components.core.settings import settings

_CRASHED = "crashed"  # it says that it runs, and nobody is at it
_UNKNOWN = "ended"  # an earlier build kept no state


class RunRow(Frozen):
    """A flow run, for a list."""

    id: str
    """Id of the flow run."""
    name: str
    """Its name."""
    flow: str
    """Its flow."""
    recipe: str
    """Recipe and changes; empty where that was not noted."""
    state: str
    """How it stands; `ended` for a run of an earlier build, which noted no state."""
    message: str
    """Why, where there is something to say."""
    began: datetime
    """When it was first started, UTC."""
    seconds: float
    """Wall time until it ended, or until now."""
    num_made: int
    """Steps that it made."""
    num_cached: int
    """Steps that were there before."""
    bytes_made: int
    """Disk space of what it made, as far as that is still here."""


def runs() -> list[RunRow]:
    """Return all runs that this machine knows, the newest first."""
    return sorted(_rows(), key=lambda row: row.began, reverse=True)


def run_called(name: str | None) -> RunRow:
    """Return the newest run with this name or id, or simply the newest.

    Raises:
        ValueError: there is none.
    """
    found = runs()
    for row in found:
        if name in (None, row.name, row.id):
            return row
    if name is None or not found:
        raise ValueError(f"No run in {settings().runs}. Start one with `bloomery run`.")
    last = ", ".join(row.name for row in found[:5])
    raise ValueError(f"No run {name!r} in {settings().runs}. The last ones: {last}.")


def _rows() -> Iterator[RunRow]:
    journals = {folder: run for folder, run in read_runs()}
    states = {file.parent: state_of(file.parent.name) for file in _state_files()}
    for folder, state in states.items():
        if state is not None:
            yield _row(folder, state)
    for folder, run in journals.items():
        if states.get(folder) is None:
            yield _old_row(folder, run.origin, run.started)


def _state_files() -> Iterator[Path]:
    return settings().runs.glob("*/state.json")


def _row(folder: Path, state: RunState) -> RunRow:
    process = process_of(state.origin.run_id)
    is_gone = state.state == "running" and (process is None or not process.is_alive())
    name = _CRASHED if is_gone else state.state
    ended = state.changed
    if is_gone:
        ended = max(ended, _last_step(folder) or ended)
    elif state.state == "running":
        ended = datetime.now(UTC)
    return _with_steps(folder, state.origin, name, state.message, state.began, ended)


def _old_row(folder: Path, origin: Origin, began: datetime) -> RunRow:
    return _with_steps(folder, origin, _UNKNOWN, "", began, _last_step(folder) or began)


def _with_steps(
    folder: Path, origin: Origin, state: str, message: str, began: datetime, ended: datetime
) -> RunRow:
    steps = read_steps(folder)
    made = {step.path for step in steps if not step.cached}
    return RunRow(
        id=origin.run_id,
        name=origin.run_name,
        flow=origin.flow,
        recipe=origin.recipe,
        state=state,
        message=message,
        began=began,
        seconds=round(max(0.0, (ended - began).total_seconds()), 3),
        num_made=sum(not step.cached for step in steps),
        num_cached=sum(step.cached for step in steps),
        bytes_made=sum(size_of(path) for path in made),
    )


def _last_step(folder: Path) -> datetime | None:
    file = folder / "steps.jsonl"
    return datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else None
