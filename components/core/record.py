"""`artifact.json`: the proof beside the files of what they are and where they came from."""

import hashlib
import json
import logging
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError, model_validator

from components.core.artifacts.base import Artifact, ArtifactPath, Frozen
from components.core.files import manifest, sha256, write_atomically
from components.core.machine import Machine
from components.core.settings import settings

logger = logging.getLogger(__name__)

RECORD = "artifact.json"
REPORT = "report"
"""Folder of the small files of an artifact that are for people: MLflow gets a copy of it."""
WORKING = frozenset({RECORD, "metrics.jsonl", "checkpoints"})  # not part of what was made
_STAMPS = ".stamps.json"  # begins with a dot: no part of what was made, and never sent elsewhere
_Stamps = TypeAdapter(dict[str, tuple[int, int]])


class InputRecord(Frozen):
    """An artifact that a component read."""

    path: ArtifactPath
    """Its folder; the record there continues the lineage."""
    fingerprint: str
    """Its identity."""


class Record(Frozen):
    """Everything needed to trust, trace and repeat one artifact."""

    component: str
    """Name of the component that made it."""
    version: str
    """Version of that component."""
    fingerprint: str
    """Identity of the recipe."""
    config: dict[str, Any]
    """Fields of the component."""
    inputs: dict[str, InputRecord]
    """What it read, by field path."""
    artifact: dict[str, Any]
    """The artifact itself, as its class dumps it."""
    files: dict[str, str]
    """sha256 of every file, by relative path."""
    seed: int | None
    """Seed of the random numbers, where the component has one."""
    seconds: float
    """Wall time of the work, resumed attempts not included."""
    machine: Machine | None = None
    """What it ran on; None in a record that was written before this was noted."""
    packages: dict[str, str]
    """Versions of the libraries that the component runs, and of Python."""
    git_revision: str | None
    """Commit of this checkout, with `+` if files were changed; None outside git."""
    data_revision: str | None
    """DVC revision of the raw data at the root of the lineage."""
    mlflow_run_id: str | None
    """The MLflow run that shows it; None if tracking was down."""

    @model_validator(mode="before")
    @classmethod
    def _without_devices(cls, data: Any) -> Any:
        """Let a record be read that says `"devices": "2 x x86_64 CPU"`, whatever the machine."""
        if not isinstance(data, dict):
            return data
        said = cast("dict[str, Any]", data)
        return {name: value for name, value in said.items() if name != "devices"}


def inputs_of(inputs: BaseModel) -> dict[str, Artifact]:
    """Return the artifacts inside an inputs model, by dotted path of fields, indices and keys."""
    pairs = list(_artifacts(inputs, ""))
    found = dict(pairs)
    assert len(found) == len(pairs), f"two inputs of one path: {[path for path, _ in pairs]}"
    return found


def _artifacts(value: Any, path: str) -> Iterator[tuple[str, Artifact]]:
    """Yield the artifacts that `identity` names by their fingerprint, wherever they are held."""
    if isinstance(value, Artifact):
        yield path or "input", value
        return
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, BaseModel):
        items = ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
    elif isinstance(value, list | tuple):
        items = enumerate(cast("list[Any]", value))
    for name, item in items:
        yield from _artifacts(item, f"{path}.{name}" if path else str(name))


def read_record(folder: Path) -> Record:
    """Read the record of a finished artifact."""
    file = folder / RECORD
    try:
        return Record.model_validate_json(file.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} is damaged ({error}). Remove {folder} to make it again."
        ) from error


def write_record(record: Record, folder: Path) -> None:
    """Write the record: the last file written, so its presence means complete."""
    write_atomically(folder / RECORD, record.model_dump_json(indent=2) + "\n")


def verify(artifact: Artifact) -> None:
    """Check that the files of `artifact` are the ones its record proves.

    Raises:
        ValueError: a file is missing or its sha256 differs.
    """
    record = read_record(artifact.path)
    for name in record.files:
        _verify_file(record, artifact.path, name)


def verify_touched(record: Record, folder: Path) -> None:
    """Check the files of an artifact that were touched since they were last proved.

    A file with the size and the time of then is not read: a thousand artifacts take a moment. All
    others are hashed, such as those of a home that was copied, and noted if they are sound.

    Raises:
        ValueError: a file is missing or its sha256 differs.
    """
    proved, now = _read_stamps(folder), stamps(folder, record.files)
    touched = [name for name in record.files if name not in now or now[name] != proved.get(name)]
    for name in touched:
        _verify_file(record, folder, name)
    if touched:
        write_stamps(now, folder)


def stamps(folder: Path, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return the bytes and the time of change, in nanoseconds, of those files that are there."""
    found: dict[str, tuple[int, int]] = {}
    for name in names:
        with suppress(FileNotFoundError, NotADirectoryError):
            state = (folder / name).stat()
            found[name] = state.st_size, state.st_mtime_ns
    return found


def write_stamps(proved: dict[str, tuple[int, int]], folder: Path) -> None:
    """Note which files were proved; take the stamps before, so that a later change is seen."""
    try:
        write_atomically(folder / _STAMPS, json.dumps(proved))
    except OSError as error:  # a folder to read only, or a full disk: they are hashed again
        logger.debug("%s has no stamps: %s", folder, error)


def _read_stamps(folder: Path) -> dict[str, tuple[int, int]]:
    try:
        return _Stamps.validate_json((folder / _STAMPS).read_bytes())
    except (OSError, ValidationError):
        return {}


def _verify_file(record: Record, folder: Path, name: str) -> None:
    file, expected = folder / name, record.files[name]
    if not file.is_file():
        raise ValueError(f"{file} is missing. Remove {folder} to make it again.")
    if (actual := sha256(file)) != expected:
        raise ValueError(
            f"{file} is not the file that {record.component} made: sha256 {actual[:12]}, "
            f"recorded {expected[:12]}. Remove {folder} to make it again."
        )


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of what a component made in `folder`."""
    return manifest(folder, exclude=WORKING)


def prove_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of what a component made in `folder`, and note that they were proved."""
    before = stamps(folder, [each.relative_to(folder).as_posix() for each in folder.rglob("*")])
    files = hash_files(folder)
    write_stamps({name: before[name] for name in files if name in before}, folder)
    return files


def adopt(folder: Path) -> str:
    """Return the fingerprint of a folder that no component made: the hash of its content."""
    files = json.dumps(manifest(folder, exclude=WORKING), sort_keys=True)
    return hashlib.sha256(files.encode()).hexdigest()[:16]


@cache
def git_revision() -> str | None:
    """Return the commit of the checkout, with `+` where tracked files were changed."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(settings().project), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
