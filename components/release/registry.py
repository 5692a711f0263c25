"""The MLflow model registry: which version of a model is the champion, and where it lies."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from components.core.artifacts.base import Frozen
from components.core.files import link_or_copy
from components.core.settings import settings
from components.core.tracking.client import client, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model, no such alias


class Registered(Frozen):
    """A version of a registered model."""

    name: str
    """Registered model."""
    version: int
    """Its version."""
    tags: dict[str, str]
    """`candidate`, `report`, `opponent` and `path`, as `register` wrote them."""

    @property
    def folder(self) -> Path:
        """Folder of the released model."""
        return settings().artifacts / self.tags["path"]


def champion(name: str) -> Registered | None:
    """Return the version of `name` that has the alias `champion`, or None."""
    return aliased(name, ALIAS)


def aliased(name: str, alias: str) -> Registered | None:
    """Return the version of `name` that has an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return _registered(client().get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise


def register(name: str, folder: Path, tags: dict[str, str]) -> Registered:
    """Register the model in `folder` as the next version of `name` and make it the champion.

    Files are linked into MLflow's artifact store, not copied, where both are on one disk. A folder
    that was registered before, and is made again, keeps its version; its files are replaced there.
    """
    mlflow = client()
    for known in mlflow.search_model_versions(f"name = '{name}'"):
        if known.tags.get("path") == tags["path"]:
            if known.source and known.source.startswith("file:"):  # another name of what was there
                _link(known.source, folder)
            mlflow.set_registered_model_alias(name, ALIAS, known.version)
            return _registered(known)
    model = mlflow.create_logged_model(experiment_id(mlflow), name=name, tags=tags)
    _place(mlflow, model.model_id, model.artifact_location, folder)
    mlflow.finalize_logged_model(model.model_id, "READY")
    if not mlflow.search_registered_models(f"name = '{name}'"):
        mlflow.create_registered_model(name)
    made = mlflow.create_model_version(
        name, source=model.artifact_location, model_id=model.model_id, tags=tags
    )
    mlflow.set_registered_model_alias(name, ALIAS, made.version)
    return _registered(made)


def note(name: str, version: int, tags: dict[str, str]) -> None:
    """Write tags to a registered version."""
    mlflow = client()
    for key, value in tags.items():
        mlflow.set_model_version_tag(name, str(version), key, value)


def roll_back(name: str, to: int | None, by: str, why: str) -> Registered:
    """Give the alias back to version `to`, or to the one before; note who did it and why.

    Raises:
        ValueError: there is no champion, or no such version.
    """
    mlflow = client()
    if (current := champion(name)) is None:
        raise ValueError(f"{name!r} has no version with the alias {ALIAS!r}: nothing to roll back.")
    versions = {int(each.version) for each in mlflow.search_model_versions(f"name = '{name}'")}
    earlier = max((version for version in versions if version < current.version), default=None)
    chosen = earlier if to is None else to
    if chosen is None or chosen not in versions or chosen == current.version:
        raise ValueError(
            f"{name!r} cannot go from version {current.version} to {chosen or 'an earlier one'}. "
            f"There are: {', '.join(map(str, sorted(versions)))}."
        )
    mlflow.set_registered_model_alias(name, ALIAS, str(chosen))
    when = datetime.now(UTC).isoformat(timespec="seconds")
    story = {"rolled_back_to": str(chosen), "rolled_back_by": by, "rolled_back_why": why}
    note(name, current.version, {**story, "rolled_back_at": when})
    return _registered(mlflow.get_model_version(name, str(chosen)))


def _place(mlflow: "MlflowClient", model_id: str, location: str, folder: Path) -> None:
    if not location.startswith("file:"):
        mlflow.log_model_artifacts(model_id, str(folder))
        return
    _link(location, folder)


def _link(location: str, folder: Path) -> None:
    """Have the files of `folder` at a `file:` URL too."""
    target = Path(url2pathname(urlparse(location).path))
    shutil.copytree(
        folder,
        target,
        copy_function=link_or_copy,
        dirs_exist_ok=True,
        ignore=lambda _, names: [n for n in names if n.startswith(".")],
    )


def _registered(found: "ModelVersion") -> Registered:
    return Registered(name=found.name, version=int(found.version), tags=dict(found.tags))
