"""One store of artifacts for several machines: any URL that fsspec knows, such as a bucket.

Files go there when a step is proved, its record last, so that a record means complete there too.
They come back by the recipe's fingerprint, each checked by its sha256. The local folder stays the
truth: a store that is away costs a run nothing, and `bloomery sync` sends it what it missed.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.core.databases import hidden
from components.core.files import sha256
from components.core.record import RECORD, Record, read_record
from components.core.settings import settings

logger = logging.getLogger(__name__)

_ASIDE = ".coming"
_away = threading.Event()  # it did not answer: no later step of this process waits for it


def push(out: Path) -> None:
    """Copy a finished artifact to the store, if there is one; its absence is a warning."""
    if not settings().artifact_store or _away.is_set():
        return
    try:
        _push(out)
    except Exception as error:  # each kind of store raises its own
        _warn(f"{out} is not in the store yet: `bloomery sync` sends it", error)


def pull(out: Path) -> bool:
    """Bring the artifact of a recipe from the store; return whether it is there and sound."""
    if not settings().artifact_store or _away.is_set():
        return False
    try:
        return _pull(out)
    except ValueError as error:  # what is there is damaged
        logger.warning("%s The work is done again.", error)
    except Exception as error:  # each kind of store raises its own
        _warn("What others have made is not looked for", error)
    return False


def sync() -> Iterator[Path]:
    """Send the store every finished artifact of this machine that it lacks; yield each.

    Raises:
        RuntimeError: it does not take them.
    """
    if not settings().artifact_store:
        return
    for record in sorted(settings().artifacts.glob(f"*/*/*/{RECORD}")):
        try:
            if _push(record.parent):
                yield record.parent
        except Exception as error:
            where, reason = hidden(settings().artifact_store), hidden(str(error))
            raise RuntimeError(f"The store {where} did not take {record}: {reason}") from error


def _push(out: Path) -> bool:
    """Copy what is missing there; return whether anything was."""
    files, there = _place(out)
    if files.exists(f"{there}/{RECORD}"):
        return False
    for name in [*read_record(out).files, RECORD]:
        files.makedirs(f"{there}/{name}".rpartition("/")[0], exist_ok=True)
        files.put_file(str(out / name), f"{there}/{name}")
    return True


def _pull(out: Path) -> bool:
    files, there = _place(out)
    if not files.exists(f"{there}/{RECORD}"):
        return False
    shutil.rmtree(aside := out / _ASIDE, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        files.get_file(f"{there}/{RECORD}", str(aside / RECORD))
        record = _record(aside / RECORD, there)
        for name, expected in record.files.items():
            _get(files, f"{there}/{name}", aside / name, expected)
        for name in [*record.files, RECORD]:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).replace(out / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    logger.info("%s came from %s", out, hidden(settings().artifact_store))
    return True


def _record(file: Path, there: str) -> Record:
    try:
        record = Record.model_validate_json(file.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"{there}/{RECORD} is damaged.") from error
    for name in record.files:
        if not (file.parent / name).resolve().is_relative_to(file.parent.resolve()):
            raise ValueError(f"{there}/{RECORD} names a file outside its folder: {name}.")
    return record


def _get(files: Any, url: str, file: Path, expected: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.get_file(url, str(file))
    except FileNotFoundError as error:
        raise ValueError(f"{url} is missing in the store.") from error
    if (actual := sha256(file)) != expected:
        raise ValueError(
            f"{url} is damaged: sha256 {actual[:12]}, recorded {expected[:12]}. Remove its folder "
            "there, and `bloomery sync` sends it anew."
        )


def _place(out: Path) -> tuple[Any, str]:
    """Return the file system of the store, and the place of an artifact in it."""
    import fsspec

    files, root = fsspec.core.url_to_fs(settings().artifact_store)
    return files, f"{root.rstrip('/')}/{out.relative_to(settings().artifacts).as_posix()}"


def _warn(what: str, error: Exception) -> None:
    _away.set()
    where, reason = hidden(settings().artifact_store), hidden(str(error))
    logger.warning("The store %s does not answer (%s). %s.", where, reason, what)
