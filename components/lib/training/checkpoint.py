"""Checkpoints of a training in progress: whole or absent, and proved before they are used.

torch's distributed checkpoint writes the tensors, each process its own, while the training
goes on. Any number of processes can read what any other number wrote. We write each one aside, sync
it, list its files with sha256 in `manifest.json`, which has a hash of its own, and rename it. On
start the newest one that verifies is used. A damaged one is set aside with a warning.
"""

import hashlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from components.core.files import sha256, write_json
from components.core.lease import Lease
from components.lib.group import Group, gloo_group

logger = logging.getLogger(__name__)

warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as it is meant to be

_FOLDER = "checkpoints"
_MANIFEST = "manifest.json"
_KEPT = 2


class Checkpoints:
    """The checkpoints of one training, under `<out>/checkpoints`; all processes call together."""

    def __init__(
        self,
        out: Path,
        group: Group,
        milestone_every: int | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Keep the last two and every `milestone_every` steps'.

        Nothing is committed once `lease` is lost; its number goes into the manifest.
        """
        self._folder = out / _FOLDER
        self._group = group
        self._milestone_every = milestone_every
        self._lease = lease
        self._gloo = gloo_group() if group.size > 1 else None
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None

    def save(self, step: int, state: dict[str, Any], about: dict[str, Any]) -> None:
        """Copy `state`, and write it as the checkpoint after `step` steps while training goes on.

        The manifest also holds `about`. Raises what went wrong in the save before this one, such
        as OSError when the disk is full.
        """
        self.wait()
        aside = self._folder / f".step_{step:08d}"
        if self._group.rank == 0:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True, exist_ok=True)  # another process may have made it anew
        written = async_save(
            state,
            storage_writer=FileSystemWriter(aside, sync_files=True),
            process_group=self._gloo,
            no_dist=not self._gloo,
        )
        assert isinstance(written, Future)
        self._pending = self._thread.submit(self._commit, written, aside, step, about)

    def wait(self) -> None:
        """Wait until what is being written is committed; raises what went wrong."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """Finish what is being written, however the training ended."""
        try:
            self.wait()
        except Exception:
            logger.exception("the last checkpoint could not be written")
        self._thread.shutdown()

    def restore(
        self, state: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Load the newest checkpoint that verifies; return its tensors and its manifest.

        `state` makes tensors to load into, of the shapes this process holds, unless it objects to
        the manifest; it is called only if there is one. Returns None if there never was a
        checkpoint.

        Raises:
            ValueError: there are checkpoints, but every one is damaged.
        """
        self.wait()
        found: list[Any] = [self._newest() if self._group.rank == 0 else None]
        if self._gloo is not None:
            dist.broadcast_object_list(found, src=0, group=self._gloo)
        (folder,) = found
        if folder is None:
            return None
        if isinstance(folder, ValueError):
            raise folder
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        loaded = state(manifest)
        load(loaded, checkpoint_id=folder, process_group=self._gloo, no_dist=not self._gloo)
        return loaded, manifest

    def remove(self) -> None:
        """Remove those of a training that is finished, apart from milestones."""
        self.wait()
        if self._group.rank == 0:
            for folder in self._folder.glob("*"):
                if not self._is_milestone(folder):
                    shutil.rmtree(folder)
            if self._folder.exists() and not any(self._folder.iterdir()):
                self._folder.rmdir()

    def _commit(self, written: Future[Any], aside: Path, step: int, about: dict[str, Any]) -> None:
        try:
            written.result()
            if self._group.rank == 0:
                write_json(aside / _MANIFEST, self._manifest(step, aside, about))
        except BaseException as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise _disk_error(error) or error from None
        if self._group.rank == 0:
            folder = aside.with_name(aside.name.removeprefix("."))
            shutil.rmtree(folder, ignore_errors=True)
            aside.replace(folder)
            _sync(self._folder)
            self._thin()

    def _manifest(self, step: int, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
        if self._lease is not None:
            self._lease.check()
        said = {
            **about,
            "step": step,
            "world_size": self._group.size,
            "lease": self._lease.number if self._lease else None,
            "files": _hashes(folder),
        }
        return {**said, "proof": _proof(said)}

    def _thin(self) -> None:
        for old in _folders(self._folder)[:-_KEPT]:
            if not self._is_milestone(old):
                shutil.rmtree(old)

    def _is_milestone(self, folder: Path) -> bool:
        if self._milestone_every is None or not folder.name.startswith("step_"):
            return False
        return int(folder.name.removeprefix("step_")) % self._milestone_every == 0

    def _newest(self) -> Path | ValueError | None:
        for folder in reversed(_folders(self._folder)):
            if _is_whole(folder):
                return folder
            aside = folder.with_name(f"damaged_{folder.name}")
            logger.warning("%s is damaged and set aside as %s", folder, aside.name)
            shutil.rmtree(aside, ignore_errors=True)
            folder.replace(aside)
        if damaged := sorted(self._folder.glob("damaged_*")):  # also of an earlier attempt
            return ValueError(
                f"No checkpoint in {self._folder} verifies: {[d.name for d in damaged]}. "
                "Remove that folder to train from the beginning."
            )
        return None


def _hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file, torch's own `.metadata` too."""
    return {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.name != _MANIFEST}


def _folders(parent: Path) -> list[Path]:
    return sorted(parent.glob("step_*"))


def _is_whole(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        proof = manifest.pop("proof")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return False
    return proof == _proof(manifest) and manifest["files"] == _hashes(folder)


def _proof(manifest: dict[str, Any]) -> str:
    """Return the sha256 of what a manifest says, 64 hex digits."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _disk_error(error: BaseException) -> OSError | None:
    """Return the OSError among the errors of the processes.

    torch wraps it. If a file could not be closed, torch raises a RuntimeError on the way.
    """
    met = getattr(error, "failures", {})  # CheckpointException: {rank: (error, traceback)}
    for one, _ in met.values():
        while one is not None and not isinstance(one, OSError):
            one = one.__cause__ or one.__context__
        if one is not None:
            return one
    return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
