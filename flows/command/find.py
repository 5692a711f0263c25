"""Find what an earlier run made: a model, its pretraining, its documents."""

from pathlib import Path

from components.core.journal import find_run, read_runs, read_steps
from components.core.record import RECORD, read_record
from components.core.settings import settings
from components.release.registry import champion

_PRETRAINING = "pretrain.train"


def find_model(name: str | None) -> Path:
    """Return the folder of a model: a folder, an artifact's path, or a registered name's champion.

    Without a name it is the model of the last run that released one.

    Raises:
        ValueError: nothing is called so.
    """
    if name is None:
        return _last_release()
    for folder in (Path(name), settings().artifacts / name):
        if (folder / "config.json").exists() or (folder / RECORD).exists():
            return folder.resolve()
    if Path(name).exists():
        raise ValueError(f"{name} holds no config.json: it is not a model in Hugging Face layout.")
    if (released := champion(name)) is not None:
        return released.folder
    raise ValueError(
        f"No model {name!r}: neither a folder nor a registered model with a champion. "
        "`bloomery report` shows what the last run released."
    )


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
            made = [find_model(name)]
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


def _last_release() -> Path:
    for folder, _ in read_runs():
        for taken in read_steps(folder):
            if taken.component == "release.register":
                return taken.path
    raise ValueError("No run has released a model yet. Start one with `bloomery run`.")
