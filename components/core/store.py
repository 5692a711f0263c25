"""One store of artifacts for several machines: any URL that fsspec knows, such as a bucket.

Files go there when a step is proved, its record last, so that a record means complete there too.
They come back by the recipe's fingerprint, each checked by its sha256; what is damaged is made
anew and replaced. The local folder stays the truth: a store that is away costs a run nothing, and
`bloomery sync` sends it what it missed. Versions that end in `.dev` stay at home.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.core.files import sha256
from components.core.record import RECORD, Record, read_record, stamps, write_stamps
from components.core.servers.databases import hidden
from components.core.settings import settings

logger = logging.getLogger(__name__)

_ASIDE = ".coming"
_away = threading.Event()  # it did not answer: no later step of this process waits for it


class _Damaged(Exception):
    """What the store holds of an artifact is not what its record proves."""


def push(out: Path) -> None:
    """Copy a finished artifact to the store, if there is one; its absence is a warning."""
    if _away.is_set() or not _is_shared(out):
        return
    try:
        _push(out)
    except Exception as error:  # each kind of store raises its own
        _warn(f"{out} is not in the store yet: `bloomery sync` sends it", error)


def pull(out: Path) -> bool:
    """Bring the artifact of a recipe from the store; return whether it is there and sound."""
    if _away.is_set() or not _is_shared(out):
        return False
    try:
        return _pull(out)
    except Exception as error:  # each kind of store raises its own
        _warn("What others have made is not looked for", error)
    return False


def sync() -> Iterator[Path]:
    """Send the store every finished artifact of this machine that it lacks; yield each.

    Raises:
        RuntimeError: it does not take them.
    """
    for record in sorted(settings().artifacts.glob(f"*/*/*/{RECORD}")):
        try:
            if _is_shared(record.parent) and _push(record.parent):
                yield record.parent
        except Exception as error:
            where, reason = hidden(settings().artifact_store), hidden(str(error))
            raise RuntimeError(f"The store {where} did not take {record}: {reason}") from error


def _is_shared(out: Path) -> bool:
    return bool(settings().artifact_store) and not out.parent.name.endswith(".dev")


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
        write_stamps(stamps(aside, record.files), out)
        for name in [*record.files, RECORD]:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).replace(out / name)
    except _Damaged as error:
        logger.warning("%s It is made again and replaced.", error)
        files.rm_file(f"{there}/{RECORD}")  # so that it is complete for nobody
        return False
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    logger.info("%s came from %s", out, hidden(settings().artifact_store))
    return True


def _record(file: Path, there: str) -> Record:
    try:
        record = Record.model_validate_json(file.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise _Damaged(f"{there}/{RECORD} is no record.") from error
    for name in record.files:
        if not (file.parent / name).resolve().is_relative_to(file.parent.resolve()):
            raise _Damaged(f"{there}/{RECORD} names a file outside its folder: {name}.")
    return record


def _get(files: Any, url: str, file: Path, expected: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.get_file(url, str(file))
    except FileNotFoundError as error:
        raise _Damaged(f"{url} is missing in the store.") from error
    if (actual := sha256(file)) != expected:
        raise _Damaged(f"{url} is damaged: sha256 {actual[:12]}, recorded {expected[:12]}.")


def _place(out: Path) -> tuple[Any, str]:
    """Return the file system of the store, and the place of an artifact in it."""
    import fsspec

    files, root = fsspec.core.url_to_fs(settings().artifact_store)
    return files, f"{root.rstrip('/')}/{out.relative_to(settings().artifacts).as_posix()}"


def _warn(what: str, error: Exception) -> None:
    _away.set()
    where, reason = hidden(settings().artifact_store), hidden(str(error))
    logger.warning("The store %s does not answer (%s). %s.", where, reason, what)
