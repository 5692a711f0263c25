"""The files of a model that no step of this run made: named by their content, taken as they are."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from components.core.artifacts.base import Artifact, Provenance
from components.core.files import sha256

TAKEN = (
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.txt",
    "*.model",
    "*.tiktoken",
    "README.md",
    "LICENSE*",
)
"""Patterns of the files that make a model; nothing that can run is among them."""

_OURS = ("artifact.json", "verdict.json", "trainer_state.json", "training_args.json")


class ModelFiles(Artifact):
    """A model in Hugging Face layout, or in a GGUF file of the folder, named by its content."""

    gguf: str = ""
    """Name of the GGUF file in the folder; empty means the folder is the model."""
    source: Annotated[str, Provenance()] = ""
    """How the recipe names it."""
    revision: Annotated[str, Provenance()] = ""
    """Commit of the hub or version in the registry, where it has one."""

    @classmethod
    def of(cls, place: Path, source: str = "", revision: str = "") -> "ModelFiles":
        """Name a folder or a GGUF file by what is in it.

        Raises:
            ValueError: there is neither.
        """
        place = place.expanduser().resolve()
        said = {"source": source or str(place), "revision": revision}
        if place.is_file() and place.suffix == ".gguf":
            fingerprint = _content((place,), _state((place,)))
            return cls(path=place.parent, fingerprint=fingerprint, gguf=place.name, **said)
        if not place.is_dir():
            what = "no folder and no GGUF file" if place.exists() else "not there"
            raise ValueError(f"{place} is {what}: name a folder with a model, or a .gguf file.")
        _require_model(place)
        files = tuple(_files(place))
        return cls(path=place, fingerprint=_content(files, _state(files)), **said)

    @property
    def named(self) -> str:
        """What it is called in a sentence."""
        return self.source or str(self.path / self.gguf)

    def take(self, out: Path) -> dict[str, Any]:
        """Copy the model to `out`, or unpack its GGUF file there; return that file's metadata.

        Raises:
            ValueError: it is not what it was when it was named, or cannot be read.
        """
        files = (self.path / self.gguf,) if self.gguf else tuple(_files(self.path))
        metadata: dict[str, Any] = {}
        if self.gguf:
            from components.lib.models.gguf import import_gguf

            self._verify(_digest(files))
            metadata = import_gguf(files[0], out)
        for file in () if self.gguf else files:
            target = out / file.relative_to(self.path)
            target.parent.mkdir(exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(file, target)  # no link: its owner may write to it again
        if not self.gguf:
            copies = tuple(out / file.relative_to(self.path) for file in files)
            self._verify(_digest(copies))
        return metadata

    def _verify(self, found: str) -> None:
        if found != self.fingerprint:
            raise ValueError(
                f"{self.named} changed while it was read: its content was {self.fingerprint} and "
                f"is {found}. Run again when nobody writes to it."
            )


def _require_model(folder: Path) -> None:
    """Raise ValueError with what a folder lacks to be a model."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    missing += [] if any(folder.glob("*.safetensors")) else ["*.safetensors"]
    if not missing:
        return
    ggufs, pickles = (sorted(f.name for f in folder.glob(k)) for k in ("*.gguf", "*.bin"))
    remedy = "Save one there with `save_pretrained` of transformers, model and tokenizer."
    if ggufs:
        remedy = f"It has {ggufs[0]}: name that file, {folder / ggufs[0]}."
    elif pickles:
        remedy = (
            f"{pickles[0]} is a pickle, which can run any code and is not read: load it where you "
            "trust it, and save it again as safetensors."
        )
    elif (folder / "adapter_config.json").is_file():
        remedy = "It is an adapter: merge it into its base with `merge_and_unload` of PEFT."
    raise ValueError(f"{folder} has no {', '.join(missing)}, so it is no model. {remedy}")


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a model, at one level; and templates, a level below."""
    found = {file for pattern in TAKEN for file in folder.glob(pattern)}
    found |= set(folder.glob("additional_chat_templates/*.jinja"))
    yield from sorted(f for f in found if f.is_file() and f.name not in _OURS)


def _state(files: tuple[Path, ...]) -> tuple[tuple[int, int, int], ...]:
    stats = (file.stat() for file in files)
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


@lru_cache(maxsize=16)
def _content(files: tuple[Path, ...], state: tuple[tuple[int, int, int], ...]) -> str:
    """Return the hash of files; asked again while none was written to, it reads none again."""
    return _digest(files)


def _digest(files: tuple[Path, ...]) -> str:
    hashes = json.dumps([[file.name, sha256(file)] for file in files if file.suffix != ".gguf"])
    if files and files[0].suffix == ".gguf":
        hashes = sha256(files[0])  # what it is called does not count
    return hashlib.sha256(hashes.encode()).hexdigest()[:16]
