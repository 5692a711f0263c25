"""Checkpoints of a training in progress: whole or absent, and proved before they are used.

Written aside, synced, listed with sha256 in `manifest.json`, then renamed. On start the newest one
that verifies is used; a damaged one is set aside with a warning and never trusted.
"""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from components.core.files import manifest, write_json

logger = logging.getLogger(__name__)

_FOLDER = "checkpoints"
_KEPT = 2


def save(out: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` as the checkpoint taken after `step` steps; older ones are thinned to two."""
    folder = out / _FOLDER / f"step_{step:08d}"
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    with (aside / "state.pt").open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    write_json(aside / "manifest.json", {"step": step, "files": _hashes(aside)})
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    for old in _folders(out)[:-_KEPT]:
        shutil.rmtree(old)


def newest(out: Path) -> dict[str, Any] | None:
    """Return the state of the newest checkpoint that verifies, or None if there never was one.

    Raises:
        ValueError: there are checkpoints, but every one is damaged.
    """
    for folder in reversed(_folders(out)):
        if _is_whole(folder):
            return torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        aside = folder.with_name(f"damaged_{folder.name}")
        logger.warning("%s is damaged and set aside as %s", folder, aside.name)
        shutil.rmtree(aside, ignore_errors=True)
        folder.replace(aside)
    if damaged := sorted((out / _FOLDER).glob("damaged_*")):  # also of an earlier attempt
        raise ValueError(
            f"No checkpoint in {out / _FOLDER} verifies: {[d.name for d in damaged]}. "
            "Remove that folder to train from the beginning."
        )
    return None


def remove(out: Path) -> None:
    """Remove the checkpoints of a training that is finished."""
    shutil.rmtree(out / _FOLDER, ignore_errors=True)


def _hashes(folder: Path) -> dict[str, str]:
    return manifest(folder, exclude=frozenset({"manifest.json"}))


def _folders(out: Path) -> list[Path]:
    return sorted((out / _FOLDER).glob("step_*"))


def _is_whole(folder: Path) -> bool:
    try:
        proof = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    return _hashes(folder) == proof["files"]
