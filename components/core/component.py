"""What a component is.

A component is a frozen pydantic model: its fields are its config, `run` is its work, and the type
parameters say what it turns into what. `components.core.execute` runs one in plain Python; the
flows wrap that in a Prefect task, which adds order, retries and scheduling.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.core.artifacts.base import Artifact, Frozen, Provenance

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=Artifact)


def identity(value: Any) -> Any:
    """Return what of `value` the result of a component depends on: artifacts by fingerprint."""
    if isinstance(value, Artifact):
        return value.fingerprint
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        names = [name for name, field in fields if not _is_provenance(field)]
        return {name: identity(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {str(key): identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _is_provenance(field: FieldInfo) -> bool:
    return any(isinstance(mark, Provenance) for mark in field.metadata)


class Component(Frozen, ABC, Generic[In, Out]):
    """One versioned step of the platform, `In -> Out`."""

    version: ClassVar[str]
    """Semantic version, raised whenever the same config and inputs would give other files.

    A version that ends in `.dev` is still being written: it always runs again.
    """

    @property
    def name(self) -> str:
        """Where the component lives: `components/align/dpo.py` is `align.dpo`."""
        return type(self).__module__.removeprefix("components.")

    @property
    def stage(self) -> str:
        """The folder the component lives in: `align`."""
        return self.name.split(".")[0]

    @abstractmethod
    def run(self, inputs: In, out: Path) -> Out:
        """Do the work, writing files only under `out`.

        `out` is named by the recipe, so after a crash it holds what the last attempt left there:
        a long job resumes from its newest checkpoint, a short one overwrites.
        """

    def fingerprint(self, inputs: In) -> str:
        """Return 16 hex digits that change when the name, version, config or an input does."""
        recipe = [self.name, self.version, self.model_dump(mode="json"), identity(inputs)]
        text = json.dumps(recipe, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def output(cls) -> type[Out]:
        """Return the class of artifact that `run` is declared to return."""
        return get_type_hints(cls.run)["return"]
