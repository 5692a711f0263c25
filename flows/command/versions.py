"""The registered models: every version, what it scored, where it comes from, and who let it in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.artifacts.base import Frozen
from components.core.files import size_of
from components.core.journal import Origin
from components.core.record import RECORD, read_record
from components.core.servers.databases import mlflow_database
from components.core.servers.endpoints import tracking_uri
from components.core.settings import settings
from components.release.registry import ALIAS
from flows.command.find import released_by

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class VersionRow(Frozen):
    """A version of a registered model."""

    model: str
    """Registered model."""
    version: int
    """Its version."""
    alias: str
    """`champion`, or nothing."""
    bits_per_byte: float | None
    """On held-out text; None if the report of its probe is gone."""
    accuracy: float | None
    """On held-out micro-tasks, 0 to 1."""
    accuracy_interval: tuple[float, float] | None
    """95 % bootstrap interval."""
    num_bytes: int | None
    """Disk space of its folder; None if that is gone."""
    released: datetime
    """When it was registered, UTC."""
    run: str
    """Name of the flow run that released it, if its journal is here."""
    recipe: str
    """What that run followed."""
    approved_by: str
    """Who said yes, if somebody was asked."""
    rolled_back_by: str
    """Who took the alias from it, if that was done by hand."""
    rolled_back_why: str
    """The reason they gave."""
    path: str
    """Its folder."""


def versions(model: str | None = None) -> list[VersionRow]:
    """Return the versions of all registered models, or of one, the newest of each first.

    Raises:
        ValueError: there is no model of that name.
    """
    found = _all_versions() if _is_there() else []
    names = sorted({row.model for row in found})
    if model is not None and model not in names:
        known = ", ".join(names) or "nothing; `bloomery run` releases a model"
        raise ValueError(f"No registered model {model!r}. Registered here: {known}.")
    chosen = [row for row in found if model in (None, row.model)]
    return sorted(chosen, key=lambda row: (row.model, -row.version))


def _is_there() -> bool:
    """Return whether MLflow has a database: to make one takes ten seconds."""
    uri, own = tracking_uri(), "sqlite:///"
    return uri != mlflow_database() or not uri.startswith(own) or Path(uri[len(own) :]).exists()


def _all_versions() -> list[VersionRow]:
    from components.core.tracking.client import client

    mlflow, origins = client(), released_by()
    champions = {
        (model.name, str(model.aliases[ALIAS]))
        for model in mlflow.search_registered_models()
        if ALIAS in model.aliases
    }
    return [
        _row(version, (version.name, str(version.version)) in champions, origins)
        for version in mlflow.search_model_versions()
    ]


def _row(found: "ModelVersion", is_champion: bool, origins: dict[Path, Origin]) -> VersionRow:
    tags: dict[str, str] = dict(found.tags)
    folder = settings().artifacts / tags["path"] if "path" in tags else None
    origin = origins.get(folder) if folder else None
    return VersionRow(
        model=found.name,
        version=int(found.version),
        alias=ALIAS if is_champion else "",
        num_bytes=size_of(folder) if folder and folder.is_dir() else None,
        released=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        run=origin.run_name if origin else "",
        recipe=origin.recipe if origin else "",
        approved_by=tags.get("approved_by", ""),
        rolled_back_by=tags.get("rolled_back_by", ""),
        rolled_back_why=tags.get("rolled_back_why", ""),
        path=str(folder or found.source),
        **_scores(tags.get("report", "")),
    )


def _scores(report: str) -> dict[str, Any]:
    folder = settings().artifacts / report
    if not report or not (folder / RECORD).exists():
        return {"bits_per_byte": None, "accuracy": None, "accuracy_interval": None}
    probe = read_record(folder).artifact
    interval = probe["accuracy_interval"]
    return {
        "bits_per_byte": probe["bits_per_byte"],
        "accuracy": probe["accuracy"],
        "accuracy_interval": (interval["low"], interval["high"]),
    }
