"""Find what an earlier run made: a model, its pretraining, its documents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from components.core.journal import Origin, find_run, read_runs, read_steps
from components.core.record import RECORD, read_record, verify_touched
from components.core.settings import settings
from components.release.quick_champion import quick_champion

_PRETRAININGS, _REGISTER = ("continued.train", "pretrain.train"), "release.register"
_MODEL_FILES = (RECORD, "config.json", "genai_config.json")


class FoundModel(NamedTuple):
    """A model on this machine, and what to call it."""

    folder: Path
    """Where it lies."""
    name: str
    """Registered name, else the component that made it, else the folder."""
    version: str
    """Registered version, else that of the component with the fingerprint, else nothing."""
    run: str = ""
    """Name of the flow run that released it, if its journal is here."""
    recipe: str = ""
    """What that run followed."""

    def __str__(self) -> str:
        """Return what it is called in a sentence."""
        version = f" version {self.version}" if self.version else ""
        recipe = f", recipe {self.recipe}" if self.recipe else ""
        run = f", released by the run {self.run}" if self.run else ""
        return f"{self.name}{version}{recipe}{run}"


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
            return _of_its_run(_described(folder.resolve()))
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
    return _of_its_run(FoundModel(released.folder, name, str(released.version)))


def released_names() -> list[str]:
    """Return the registered names that the runs of this machine released, the last one first."""
    return list(dict.fromkeys(each.name for each in _releases()))


def released_by() -> dict[Path, Origin]:
    """Return the first run that released each model, by the model's folder."""
    return {folder: origin for folder, origin in _releases_of_runs()}  # the first run comes last


def refuse_damaged(found: FoundModel) -> None:
    """Make sure that the files of a model are those that its record proves.

    Only what was touched is read. A folder that no component made has nothing to compare with.

    Raises:
        ValueError: a file is missing or another.
    """
    try:
        record = read_record(found.folder)
    except (ValueError, FileNotFoundError):  # another version of the platform wrote it, or nobody
        return
    verify_touched(record, found.folder)


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
        raise ValueError(f"No pretraining is behind {name}: it has no ledger of pretraining.")
    return found


def _pretraining_behind(folders: list[Path]) -> Path | None:
    """Return the nearest pretraining in the lineages of `folders`, the last ones first."""
    level = folders[::-1]
    while level:
        records = [(folder, read_record(folder)) for folder in level if (folder / RECORD).exists()]
        for folder, record in records:
            if record.component in _PRETRAININGS:
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
    for folder, origin in _releases_of_runs():
        if (folder / RECORD).exists():
            yield _described(folder)._replace(run=origin.run_name, recipe=origin.recipe)


def _releases_of_runs() -> Iterator[tuple[Path, Origin]]:
    for folder, run in read_runs():
        for taken in read_steps(folder):
            if taken.component == _REGISTER:
                yield taken.path, run.origin


def _of_its_run(found: FoundModel) -> FoundModel:
    """Return a model with the run that released it."""
    if (origin := released_by().get(found.folder)) is None:
        return found
    return found._replace(run=origin.run_name, recipe=origin.recipe)


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
