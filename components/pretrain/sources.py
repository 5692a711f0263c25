"""Where a model to begin with may come from: what a recipe names -> files on this machine."""

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from components.core.artifacts.models import Checkpoint
from components.core.record import RECORD, read_record, verify
from components.core.settings import settings
from components.pretrain.model_files import TAKEN, ModelFiles

logger = logging.getLogger(__name__)

HUB, REGISTRY = "hf://", "models:/"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def local(source: str) -> Path | None:
    """Return the folder or file that a source names on this machine; None if it is elsewhere."""
    if source.startswith((HUB, REGISTRY)):
        return None
    given = Path(source).expanduser()
    artifact = settings().artifacts / source
    return artifact if not given.exists() and artifact.is_dir() else given


def resolve(source: str, expected: str = "") -> ModelFiles:
    """Return the files of the model that `source` names, fetched where they lie elsewhere.

    A source is a folder, a GGUF file, an artifact of an earlier run (its path, or
    `component/version/fingerprint`), `models:/NAME@ALIAS`, `models:/NAME/VERSION` or
    `hf://NAME@REVISION`. `expected` is the fingerprint that it must have.

    Raises:
        ValueError: there is no such model, or it is another than expected.
    """
    if source.startswith(HUB):
        found = _from_hub(source)
    elif source.startswith(REGISTRY):
        found = _registered(source)
    else:
        found = _local(source)
    if expected and found.fingerprint != expected:
        raise ValueError(
            f"{source} has the fingerprint {found.fingerprint}, and the recipe asks for "
            f"{expected}: bring the old files back, or set pretrain.content to the new ones."
        )
    return found


def _local(source: str, named: str = "", revision: str = "") -> ModelFiles:
    place = local(source)
    assert place is not None, source
    if (place / RECORD).is_file():
        record = read_record(place)
        verify(Checkpoint.model_construct(path=place))
        revision = revision or f"{record.component} {record.version} {record.fingerprint}"
    return ModelFiles.of(place, named or source, revision)


def _registered(source: str) -> ModelFiles:
    from mlflow.exceptions import MlflowException

    from components.core.tracking.client import client

    asked = _REGISTERED.fullmatch(source)
    if asked is None:
        raise ValueError(f"{source} is no registered model: write models:/NAME@ALIAS or /VERSION.")
    mlflow, (name, alias, version) = client(), asked.groups()
    try:
        found = (
            mlflow.get_model_version_by_alias(name, alias)
            if alias
            else mlflow.get_model_version(name, version)
        )
    except MlflowException as error:
        raise ValueError(
            f"{source} is not registered here ({error.message.split(chr(10))[0]}). "
            "`bloomery report` names what was released."
        ) from error
    revision = f"version {found.version}"
    path = found.tags.get("path")
    if path and (settings().artifacts / path).is_dir():
        return _local(str(settings().artifacts / path), source, revision)
    place = settings().home / "bases" / f"{name}-{found.version}"
    place.mkdir(parents=True, exist_ok=True)
    try:
        from mlflow.artifacts import download_artifacts

        uri = mlflow.get_model_version_download_uri(name, found.version)
        folder = download_artifacts(artifact_uri=uri, dst_path=str(place))
    except (MlflowException, OSError) as error:
        raise ValueError(f"The files of {source} cannot be had: {error}") from error
    return ModelFiles.of(Path(folder), source, revision)


def _from_hub(source: str) -> ModelFiles:
    """Fetch a revision of a name on the hub, pinned to its commit, its weights proved by sha256."""
    name, _, asked = source.removeprefix(HUB).partition("@")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise ValueError(f"{source} is no name on a hub: write hf://OWNER/NAME@REVISION.")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if (cached := _cached(name, asked)) is not None:
        return ModelFiles.of(cached, source, asked)
    if _is_offline():
        raise ValueError(
            f"{source} is to be fetched, and HF_HUB_OFFLINE={os.environ['HF_HUB_OFFLINE']} forbids "
            "it: set HF_HUB_OFFLINE=0, or name a folder. Of what was fetched before, a revision is "
            "found by its whole commit."
        )
    from huggingface_hub import HfApi, snapshot_download

    api = HfApi(endpoint=endpoint)
    try:
        info: Any = api.model_info(name, revision=asked or "main", files_metadata=True, timeout=30)
        _require_safetensors(source, [each.rfilename for each in info.siblings])
        logger.info("%s is commit %s", source, info.sha)
        folder = snapshot_download(
            name, revision=info.sha, allow_patterns=list(TAKEN), endpoint=endpoint
        )
    except Exception as error:  # the library's own, its transport's, and OSError
        if isinstance(error, ValueError):
            raise
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{source} cannot be had from {endpoint}: {said}") from error
    _prove(Path(folder), info.siblings, source)
    return ModelFiles.of(Path(folder), source, info.sha)


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _cached(name: str, revision: str) -> Path | None:
    """Return the snapshot of a whole commit that was fetched before: nothing need be asked."""
    if not _COMMIT.fullmatch(revision):
        return None
    from huggingface_hub.constants import HF_HUB_CACHE

    place = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots" / revision
    return place if _is_whole(place) else None


def _is_whole(folder: Path) -> bool:
    """Return whether a snapshot has a config, a tokenizer and every file of its weights."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file():
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    return all((folder / name).is_file() for name in {"config.json", "tokenizer.json", *names})


def _require_safetensors(source: str, names: list[str]) -> None:
    if any(name.endswith(".safetensors") and "/" not in name for name in names):
        return
    others = [name for name in names if name.endswith((".bin", ".pt", ".gguf", ".h5", ".msgpack"))]
    what = f"only {', '.join(sorted(others)[:3])}" if others else "no weights at all"
    raise ValueError(
        f"{source} has no safetensors, {what}. Pickles can run any code and are not read; of a "
        "GGUF file fetch the file and name it."
    )


def _prove(folder: Path, siblings: list[Any], source: str) -> None:
    from components.core.files import sha256

    for each in siblings:
        file, proof = folder / each.rfilename, getattr(each.lfs, "sha256", None)
        if proof and file.is_file() and sha256(file) != proof:
            raise ValueError(
                f"{each.rfilename} of {source} is damaged: its sha256 is not {proof[:12]}, which "
                f"the hub states. Remove {folder} to fetch it again."
            )
