"""Find what an earlier run made: a model, its pretraining, its documents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from components.core.journal import find_run, read_runs, read_steps
from components.core.record import RECORD, read_record
from components.core.settings import settings
from components.release.quick_champion import quick_champion

_PRETRAINING, _REGISTER = "pretrain.train", "release.register"
_MODEL_FILES = (RECORD, "config.json", "genai_config.json")


class FoundModel(NamedTuple):
    """A model on this machine, and what to call it."""

    folder: Path
    """Where it lies."""
    name: str
    """Registered name, else the component that made it, else the folder."""
    version: str
    """Registered version, else that of the component with the fingerprint, else nothing."""
    run: str | None = None
    """Name of the flow run that released it, where that is how it was found."""

    def __str__(self) -> str:
        """Return what it is called in a sentence."""
        version = f" version {self.version}" if self.version else ""
        run = f", released by the run {self.run}" if self.run else ""
        return f"{self.name}{version}{run}"


def find_model(name: str | None) -> FoundModel:
    """Return a model: a folder, an artifact's path, or a registered name's champion.

    Without a name it is the one that the last run released.

    Raises:
        ValueError: nothing is called so.
    """
    if name is None:
        return _last_release()
    for folder in (Path(name), settings().artifacts / name):
        if any((folder / file).exists() for file in _MODEL_FILES):
            return _described(folder.resolve())
    if Path(name).exists():
        raise ValueError(
            f"{name} holds neither a config.json nor a genai_config.json: it is no model in "
            "Hugging Face layout, and no export of one."
        )
    if (released := quick_champion(name)) is None:
        raise ValueError(
            f"No model {name!r}: neither a folder nor a registered model with a champion. "
            f"Released here: {', '.join(released_names()) or 'nothing'}."
        )
    if not released.folder.is_dir():
        raise ValueError(
            f"{name} version {released.version} is gone from {released.folder}. Bring the folder "
            "back, or run its recipe again."
        )
    return FoundModel(released.folder, name, str(released.version))


def released_names() -> list[str]:
    """Return the registered names that the runs of this machine released, the last one first."""
    return list(dict.fromkeys(each.name for each in _releases()))


def find_pretraining(name: str | None) -> Path:
    """Return the folder of a flow run's pretraining, or of the one that a model comes from.

    Without a name it is the last run's.

    Raises:
        ValueError: nothing is called so, or no pretraining is behind it.
    """
    if name is None:
        name = find_run(None)[1].origin.run_id
    for folder, run in read_runs():
        if name in (run.origin.run_name, run.origin.run_id):
            made = [step.path for step in read_steps(folder)]
            break
    else:
        try:
            made = [find_model(name).folder]
        except ValueError as error:
            raise ValueError(f"No flow run {name!r} in {settings().runs}. {error}") from error
    if (found := _pretraining_behind(made)) is None:
        raise ValueError(f"No {_PRETRAINING} is behind {name}: it has no ledger of pretraining.")
    return found


def _pretraining_behind(folders: list[Path]) -> Path | None:
    """Return the nearest pretraining in the lineages of `folders`, the last ones first."""
    level = folders[::-1]
    while level:
        records = [(folder, read_record(folder)) for folder in level if (folder / RECORD).exists()]
        for folder, record in records:
            if record.component == _PRETRAINING:
                return folder
        level = [source.path for _, record in records for source in record.inputs.values()]
        level = list(dict.fromkeys(level))
    return None


def _last_release() -> FoundModel:
    if (found := next(_releases(), None)) is None:
        raise ValueError("No run has released a model yet. Start one with `bloomery run`.")
    return found


def _releases() -> Iterator[FoundModel]:
    """Yield the releases of all runs that are still here, the last one first."""
    for folder, run in read_runs():
        for taken in read_steps(folder):
            if taken.component == _REGISTER and (taken.path / RECORD).exists():
                yield _described(taken.path)._replace(run=run.origin.run_name)


def _described(folder: Path) -> FoundModel:
    """Return the model in a folder by the name that its record gives it."""
    if not (folder / RECORD).exists():
        return FoundModel(folder, str(folder), "")
    try:
        return _named(folder, json.loads((folder / RECORD).read_text("utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / RECORD} is damaged ({error!r}). Remove {folder} to make it again."
        ) from error


def _named(folder: Path, record: dict[str, Any]) -> FoundModel:
    """Return a model as its record names it, whichever version of the platform wrote that."""
    if record["component"] == _REGISTER:
        released = record["artifact"]
        return FoundModel(folder, released["name"], str(released["registered_version"]))
    version = f"{record['version']} ({record['fingerprint']})"
    return FoundModel(folder, record["component"], version)
