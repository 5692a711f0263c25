"""What the names of served models mean: a registered name, an alias of one, or a folder."""

import re
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.core.record import RECORD, read_record, verify_touched
from components.core.settings import settings
from components.release.registry import ALIAS, aliased

_MODEL_FILES = ("config.json", "genai_config.json", "tokenizer.json")
_REGISTERED = re.compile(r"([A-Za-z0-9_.-]+)(?:@([A-Za-z0-9_.-]+))?")


class Wish(Frozen):
    """A model that shall be served."""

    name: str
    """How requests call it."""
    registered: str = ""
    """Registered model that it follows."""
    alias: str = ""
    """The alias that is followed."""
    folder: Path | None = None
    """Its folder, where it is none that is registered."""


class Absent(ValueError):
    """A registered model has no version with the alias."""


class Found(Frozen):
    """A model that is there."""

    name: str
    """How requests call it."""
    version: str
    """Registered version, else the fingerprint of the artifact, else nothing."""
    alias: str
    """The alias that was followed; empty for a folder."""
    folder: Path
    """Where it lies."""

    @property
    def label(self) -> str:
        """The name and the version, as answers and metrics say it."""
        return f"{self.name}/{self.version}" if self.version else self.name


def wish(words: str) -> Wish:
    """Return what the command line calls a model: NAME, NAME@ALIAS, FOLDER or NAME=FOLDER.

    Raises:
        ValueError: it can mean nothing.
    """
    name, _, place = words.rpartition("=")
    for folder in (Path(place).expanduser(), settings().artifacts / place):
        if any((folder / file).exists() for file in _MODEL_FILES) or folder.suffix == ".gguf":
            return Wish(name=name or folder.resolve().stem, folder=folder.resolve())
    found = _REGISTERED.fullmatch(place)
    if found is None or Path(place).exists():
        raise ValueError(f"{place!r} is neither a folder with a model nor a registered name.")
    alias = found[2] or ALIAS
    called = found[1] if alias == ALIAS else place
    return Wish(name=name or called, registered=found[1], alias=alias)


def find(wished: Wish) -> Found:
    """Return the model that is meant now.

    Raises:
        Absent: no version has the alias.
        ValueError: its folder is gone.
    """
    if wished.folder is not None:
        recorded = (wished.folder / RECORD).exists()
        version = wished.folder.name if recorded else ""
        return Found(name=wished.name, version=version, alias="", folder=wished.folder)
    released = aliased(wished.registered, wished.alias)
    if released is None:
        raise Absent(
            f"{wished.registered!r} has no version with the alias {wished.alias!r}, and no folder "
            "is called so. `bloomery models` lists what is registered."
        )
    if not released.folder.is_dir():
        raise ValueError(
            f"{wished.registered} version {released.version} is gone from {released.folder}. Bring "
            "the folder back, or run its recipe again."
        )
    version = str(released.version)
    return Found(name=wished.name, version=version, alias=wished.alias, folder=released.folder)


def refuse_damaged(found: Found) -> None:
    """Make sure that the files of a model are those that its record proves, if it has one.

    Raises:
        ValueError: a file is missing, or is another.
    """
    if (found.folder / RECORD).exists():
        verify_touched(read_record(found.folder), found.folder)
