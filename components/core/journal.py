"""The journal of a flow run: which steps it took, whether each was cached, what each made.

One folder a run, `<home>/runs/<flow run id>/`: `run.json` says what was started, `steps.jsonl` has
a line a step, `state.json` says how it stands, `process.json` says which process is at it, and
`output.log` has what that prints under a worker. The reports of the command line are read from
here, so they need no server.
"""

import json
import logging
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil
from pydantic import ValidationError

from components.core.artifacts.base import ArtifactPath, Frozen
from components.core.files import write_atomically
from components.core.settings import settings

logger = logging.getLogger(__name__)

_PROCESS, _STATE = "process.json", "state.json"


class Origin(Frozen):
    """Who asked for a step: the flow run it belongs to."""

    run_id: str = "local"
    """Id of the outermost flow run."""
    run_name: str = "local"
    """Name of the outermost flow run."""
    flow: str = "local"
    """Name of the outermost flow."""
    recipe: str = ""
    """The recipe by name, and what was changed in it; empty for a flow that follows none."""


class Run(Frozen):
    """A flow run, as its journal has it."""

    origin: Origin
    """The flow run."""
    started: datetime
    """When it took its first step, UTC."""


class RunState(Frozen):
    """How a flow run stands."""

    origin: Origin
    """The flow run."""
    state: Literal["running", "waiting", "completed", "rejected", "preempted", "failed", "stopped"]
    """A run that waits for a person has let go of its process; `stopped` is by a signal."""
    message: str = ""
    """What a person reads beside it."""
    began: datetime
    """When it was first started, UTC."""
    changed: datetime
    """When it came to this state, UTC."""


class RunProcess(Frozen):
    """The process that does a flow run."""

    host: str
    """Machine it runs on."""
    pid: int
    """Its id there."""
    started: float
    """Unix seconds: an id alone is given again."""

    @classmethod
    def of_this_process(cls) -> "RunProcess":
        """Return what tells this process from all others."""
        mine = psutil.Process()
        return cls(host=socket.gethostname(), pid=mine.pid, started=mine.create_time())

    def is_alive(self) -> bool:
        """Return whether it runs; one on another machine is taken for alive."""
        return self.host != socket.gethostname() or self.is_here()

    def is_here(self) -> bool:
        """Return whether it runs on this machine."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 2.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class Step(Frozen):
    """One step of a flow run."""

    component: str
    """Name of the component."""
    version: str
    """Its version."""
    fingerprint: str
    """Identity of the recipe."""
    cached: bool
    """Whether the artifact was there already."""
    seconds: float
    """Wall time that making the artifact took, now or when it was made."""
    path: ArtifactPath
    """Folder of the artifact."""
    data_revision: str | None = None
    """Revision of `data/` that the run read for it; None for a step that reads only artifacts."""


def note_process(run_id: str) -> None:
    """Note that this process does a flow run, so that its death can be told from its silence."""
    folder = settings().runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    mine = RunProcess.of_this_process()
    write_atomically(folder / _PROCESS, mine.model_dump_json() + "\n")


def begin_run(origin: Origin) -> None:
    """Note that this process does a flow run, from its beginning or on from where it stopped."""
    note_process(origin.run_id)
    before, now = state_of(origin.run_id), datetime.now(UTC)
    began = before.began if before else now
    _write_state(RunState(origin=origin, state="running", began=began, changed=now))


def end_run(run_id: str, state: str, message: str = "") -> None:
    """Note how a flow run ended, or that it waits."""
    if (before := state_of(run_id)) is not None:
        told = {"state": state, "message": message, "changed": datetime.now(UTC)}
        _write_state(RunState.model_validate({**before.model_dump(), **told}))


def state_of(run_id: str) -> RunState | None:
    """Return how a flow run stands, as it said itself; one that was killed said nothing."""
    try:
        return RunState.model_validate_json((settings().runs / run_id / _STATE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _write_state(state: RunState) -> None:
    folder = settings().runs / state.origin.run_id
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _STATE, state.model_dump_json(indent=2) + "\n")


def take_output(run_id: str) -> None:
    """Have what this process and its children print from now on go to the folder of its run.

    A worker reads it through a pipe, and a run whose worker dies would die of a line that it logs.
    """
    with (settings().runs / run_id / "output.log").open("ab") as stream:
        for standard in (1, 2):
            os.dup2(stream.fileno(), standard)


def process_of(run_id: str) -> RunProcess | None:
    """Return the process that does a flow run, as far as it was noted."""
    try:
        return RunProcess.model_validate_json((settings().runs / run_id / _PROCESS).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_step(origin: Origin, step: Step) -> None:
    """Append a step to the journal of its run, which the first step opens."""
    folder = settings().runs / origin.run_id
    if not (folder / "run.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run = Run(origin=origin, started=datetime.now(UTC))
        write_atomically(folder / "run.json", run.model_dump_json(indent=2) + "\n")
    with (folder / "steps.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(step.model_dump_json() + "\n")


def read_steps(folder: Path) -> list[Step]:
    """Return the steps of the run in `folder`, in order.

    A step that was taken again, by a retry or after an approval, counts once: as made, if this run
    made it.
    """
    found: dict[tuple[str, str], Step] = {}
    for step in _all_steps(folder):
        key = step.component, step.fingerprint
        if not step.cached or key not in found:
            found[key] = step
    return list(found.values())


def revision_of_run(origin: Origin) -> str | None:
    """Return the revision of `data/` that a run read last, or None if it has read none."""
    folder = settings().runs / origin.run_id
    revisions = [step.data_revision for step in _all_steps(folder) if step.data_revision]
    return revisions[-1] if revisions else None


def _all_steps(folder: Path) -> list[Step]:
    if not (folder / "steps.jsonl").exists():  # it is at its first one
        return []
    lines = (folder / "steps.jsonl").read_text("utf-8").splitlines()
    return [Step.model_validate(json.loads(line)) for line in lines]


def read_runs() -> Iterator[tuple[Path, Run]]:
    """Yield the folder and description of every run, the newest first.

    A journal that another version of the platform wrote otherwise is left out, with a warning.
    """
    found = [(file.parent, _read_run(file.parent)) for file in settings().runs.glob("*/run.json")]
    runs = [(folder, run) for folder, run in found if run is not None]
    yield from sorted(runs, key=lambda each: each[1].started, reverse=True)


def _read_run(folder: Path) -> Run | None:
    try:
        run = Run.model_validate_json((folder / "run.json").read_text("utf-8"))
        read_steps(folder)
    except (ValidationError, json.JSONDecodeError, FileNotFoundError) as error:
        problem = str(error).splitlines()[0]
        logger.warning("%s is no journal of this version and left out (%s)", folder, problem)
        return None
    return run


def find_run(name: str | None = None, flow: str | None = None) -> tuple[Path, Run]:
    """Return the newest run, or the newest with this name or id (and of this flow).

    Raises:
        ValueError: there is no such run.
    """
    for folder, run in read_runs():
        named = name is None or name in (run.origin.run_name, run.origin.run_id)
        if named and (flow is None or name is not None or run.origin.flow == flow):
            return folder, run
    wanted = f"run {name!r}" if name else f"run of {flow!r}" if flow else "run"
    raise ValueError(f"No {wanted} in {settings().runs}. Start one with `bloomery run`.")
