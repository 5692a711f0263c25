"""Run a component once for each recipe: serve what is there, else do the work and prove it."""

import platform
import time
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from components.core import disk, store
from components.core.artifacts.data import DataFiles, DataRevision, PinnedData
from components.core.component import Component, In, Out
from components.core.journal import Origin, Step, revision_of_run, write_step
from components.core.machine import machine
from components.core.record import (
    RECORD,
    InputRecord,
    Record,
    git_revision,
    inputs_of,
    prove_files,
    read_record,
    verify,
    verify_touched,
    write_record,
)
from components.core.settings import settings
from components.core.sources import libraries
from components.core.tracking.tracker import Tracker


def address(component: Component[In, Out], inputs: In) -> Path:
    """Return the folder of what `component` makes of `inputs`: known before anything runs."""
    name, version = component.name, component.version
    return settings().artifacts / name / version / component.fingerprint(inputs)


def find(component: Component[In, Out], inputs: In, origin: Origin | None = None) -> Out | None:
    """Return the artifact if this recipe has finished before, else None.

    Raises:
        ValueError: its files are not those that its record proves.
    """
    out = address(component, inputs)
    if component.version.endswith(".dev") or not (out / RECORD).exists():
        return None
    record = read_record(out)
    artifact = _load(component.output(), record, out)
    verify_touched(record, out)
    _note(record, out, inputs, cached=True, origin=origin)
    return artifact


def execute(component: Component[In, Out], inputs: In, origin: Origin | None = None) -> Out:
    """Return what `component` makes of `inputs`, doing the work only if nobody has.

    Two calls with one recipe do the work once: the second waits for the first one's lock.

    Raises:
        ValueError: the files of an input, or of what was made before, are not the ones that the
            record proves.
    """
    out = address(component, inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.parent / f".{out.name}.lock"):
        if (artifact := find(component, inputs, origin)) is not None:
            return artifact
        if store.pull(out):
            artifact = find(component, inputs, origin)
            assert artifact is not None, "its record is there"
            return artifact
        for source in inputs_of(inputs).values():
            if (source.path / RECORD).exists():
                verify(source)
        return _make(component, inputs, out, origin)


def _make(component: Component[In, Out], inputs: In, out: Path, origin: Origin | None) -> Out:
    out.mkdir(exist_ok=True)
    (out / RECORD).unlink(missing_ok=True)
    start = time.monotonic()
    revision = _data_revision(inputs, origin)
    with Tracker(component, out, origin or Origin(), revision) as tracker:
        artifact = _work(component, inputs, out)
        record = Record(
            component=component.name,
            version=component.version,
            fingerprint=out.name,
            config=component.model_dump(mode="json"),
            inputs={
                name: InputRecord(path=source.path, fingerprint=source.fingerprint)
                for name, source in inputs_of(inputs).items()
            },
            artifact=artifact.model_dump(mode="json"),
            files=prove_files(out),
            seed=getattr(component, "seed", None),
            seconds=round(time.monotonic() - start, 3),
            machine=machine(),
            packages=_packages(component),
            git_revision=git_revision(),
            data_revision=revision,
            mlflow_run_id=tracker.run_id(),
        )
        write_record(record, out)
    _note(record, out, inputs, cached=False, origin=origin)
    store.push(out)
    return artifact


def _work(component: Component[In, Out], inputs: In, out: Path) -> Out:
    try:
        return component.run(inputs, out)
    except OSError as error:
        if disk.is_full(error):  # "No space left on device" alone says neither where nor how much
            raise disk.with_place(error, out) from error
        raise


def _packages(component: Component[In, Out]) -> dict[str, str]:
    return {"python": platform.python_version(), **libraries(type(component).__module__)}


def _load(kind: type[Out], record: Record, out: Path) -> Out:
    try:
        return kind.model_validate(record.artifact)
    except ValidationError as error:
        raise ValueError(
            f"{out} was made by another {record.component} that also called itself "
            f"{record.version} ({error}). Raise the component's version."
        ) from error


def _note(
    record: Record, out: Path, inputs: BaseModel, *, cached: bool, origin: Origin | None
) -> None:
    if origin is None:
        return
    step = Step(
        component=record.component,
        version=record.version,
        fingerprint=record.fingerprint,
        cached=cached,
        seconds=record.seconds,
        path=out,
        data_revision=_read_revision(inputs),
    )
    write_step(origin, step)


def _data_revision(inputs: BaseModel, origin: Origin | None) -> str | None:
    """Return a revision of `data/` that holds all that `inputs` were made of.

    That is the one that this run reads, since it found all else by its content there. If it reads
    none, it is that of what is brought in.
    """
    if found := _read_revision(inputs) or (origin and revision_of_run(origin)):
        return found
    for source in inputs_of(inputs).values():
        if isinstance(source, PinnedData):
            return source.revision
        if not (source.path / RECORD).exists():
            continue
        if (revision := read_record(source.path).data_revision) is not None:
            return revision
    return None


def _read_revision(inputs: BaseModel) -> str | None:
    return inputs.revision if isinstance(inputs, DataRevision | DataFiles) else None
