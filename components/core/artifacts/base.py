"""What an artifact is.

An artifact is a small typed pointer to a folder. In memory its path is absolute; in JSON it is
relative to the artifact root, so that a record made on one machine is read on another.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, model_validator

from components.core.docstrings import describe_fields
from components.core.settings import settings


def _absolute(path: Path) -> Path:
    return path if path.is_absolute() else settings().artifacts / path


def _portable(path: Path) -> str:
    root = settings().artifacts
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


ArtifactPath = Annotated[
    Path, AfterValidator(_absolute), PlainSerializer(_portable, return_type=str)
]


class Provenance:
    """Marks a field that says where a value came from: no part of any fingerprint."""


class Frozen(BaseModel):
    """A value that cannot change and has no field nobody declared."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra=describe_fields,
        ser_json_inf_nan="strings",
    )


class Artifact(Frozen):
    """A folder some component wrote, complete once its `artifact.json` exists."""

    path: ArtifactPath
    """Folder that holds the files."""
    fingerprint: str = ""  # filled in from the folder, which the recipe's fingerprint names
    """Identity: of the recipe that made the folder, or of its content if it was brought in."""

    @model_validator(mode="before")
    @classmethod
    def _named_by_recipe(cls, data: Any) -> Any:
        if isinstance(data, dict) and "path" in data and "fingerprint" not in data:
            return {**data, "fingerprint": Path(data["path"]).name}
        return data
