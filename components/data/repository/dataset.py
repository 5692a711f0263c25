"""The dataset `data/` and its pin `data.dvc`.

DVC moves and keeps the files. Whether `data/` is what the pin says is proven here, by hashing every
byte: `dvc checkout` and `dvc fetch` exit with 0 when an object is corrupt or missing. Files are put
together aside and moved into place, so `data/` is never half written.
"""

import functools
import hashlib
import logging
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock

from components.core.files import write_atomically
from components.data.dialogues.rows import Kind
from components.data.document import write_shards
from components.data.repository import builtin
from components.data.repository.append import gathered
from components.data.repository.ingested import Ingested, summed_up, warn_of_few
from components.data.repository.objects import (
    copy_objects,
    digest,
    digest_of,
    files_in,
    list_folder,
    md5_of,
    object_of,
    read_listing,
)
from components.data.repository.workspace import (
    dvc,
    pinned,
    put,
    recover,
    spool,
    undone_on_error,
    workspace,
)
from components.data.sources.intake import Intake
from components.data.sources.source import Reading, Source

EVALUATION: Kind = "evaluation"
"""Folder of `data/` with what models are tested on: never trained on, looked for in the rest."""

_DOCUMENTS: Kind = "documents"
_NAME = re.compile(r"[a-z0-9_-]+")
KINDS: tuple[Kind, ...] = (EVALUATION, "instructions", "preferences")
"""Folders of `data/` with sets that are no documents to train on."""

_RESERVED = (*builtin.NAMES, EVALUATION, "microtasks")
_PIN = re.compile(r"^- md5: ([0-9a-f]{32}\.dir)$", re.MULTILINE)
_REMEDY = "move it away, or pin it with `dvc add data`, then try again"

log = logging.getLogger(__name__)


def revision(project: Path) -> str:
    """Return the hash of `data/` that data.dvc pins, such as `d6ae...aa.dir`."""
    file = project / "data.dvc"
    found = _PIN.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    if len(found) != 1:
        raise ValueError(f"{file} pins no folder: restore it from git")
    return found[0]


def status(project: Path) -> Literal["clean", "changed", "missing"]:
    """Say whether `data/` is what data.dvc pins. Reads every byte.

    What a killed process had half done is taken back before.
    """
    recover(project)
    return _status(project)


def _status(project: Path) -> Literal["clean", "changed", "missing"]:
    if not (project / "data").exists():
        return "missing"
    return "clean" if digest(project / "data") == revision(project) else "changed"


def listing(project: Path, state: Path) -> dict[str, str]:
    """Return the md5 of every file of the pinned revision, by its path below `data/`.

    Reads every byte of `data/`, which must be that revision. If it is missing, DVC's cache may
    still have the listing; else `data/` is restored.

    Raises ValueError if `data/` was changed by hand or cannot be restored.
    """
    recover(project)
    pin = revision(project)
    if not (project / "data").exists():
        with workspace(project, state) as aside:
            if found := read_listing(_cache(project, state), pin):
                return found
            _restore(project, state, aside)
    found = list_folder(project / "data")
    if digest_of(found) != pin:
        raise ValueError(
            f"{project / 'data'} is not what data.dvc pins ({pin}). Keep the change with "
            "`dvc add data`, or undo it with `dvc checkout --force data`."
        )
    return found


def cache_of(project: Path, state: Path) -> Path:
    """Return the folder of DVC's cache."""
    with workspace(project, state):
        return _cache(project, state)


def restore(project: Path, state: Path) -> None:
    """Make `data/` be what data.dvc pins: from DVC's cache, its remote, or the installed packages.

    Raises ValueError, and leaves `data/` as it is, if it holds files that DVC's cache does not, or
    if none of the three has what is pinned.
    """
    with workspace(project, state) as aside:
        _restore(project, state, aside)


def bring(project: Path, state: Path, pin: str, folder: Path) -> None:
    """Write the revision `pin` of `data/` into `folder`, which must be empty or not exist.

    Raises ValueError if neither DVC's cache, nor its remote, nor the installed packages have it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty: name a folder that is, or that does not exist")
    with workspace(project, state) as aside:
        _gather(project, state, aside, _cache(project, state), pin)
        shutil.copytree(aside / "data", folder, dirs_exist_ok=True)
    if digest(folder) != pin:
        raise ValueError(f"{folder} is not what was written there: somebody changed it. Try again")


def checkout(project: Path, state: Path, pin: str) -> None:
    """Make data.dvc pin `pin`, and `data/` be it. Raises ValueError and changes nothing otherwise.

    What `data/` holds must be pinned, or in DVC's cache: it would be lost.
    """
    with workspace(project, state) as aside:
        cache = _cache(project, state)
        if _status(project) == "clean" and _unsaved(project, cache):
            dvc(project, state, "add", "data")  # the cache was emptied
        if unsaved := _unsaved(project, cache):
            raise ValueError(f"{unsaved[0]} is not in DVC's cache and would be lost: {_REMEDY}")
        _gather(project, state, aside, cache, pin)
        sizes = [file.stat().st_size for file in files_in(aside / "data")]
        text = f"- md5: {pin}\n  size: {sum(sizes)}\n  nfiles: {len(sizes)}\n"
        with undone_on_error(project, project / "data"):
            put(aside / "data", project / "data", project)
            write_atomically(project / "data.dvc", f"outs:\n{text}  hash: md5\n  path: data\n")


def add(
    project: Path,
    state: Path,
    name: str,
    source: Source,
    append: bool = False,
) -> Ingested:
    """Write a user's documents to `data/NAME`, as `document_files`, and pin the result.

    What NAME held is replaced, or kept before the new documents with `append`; the revision before
    can be restored. What is no document to train on goes to `data/<kind>/NAME`. Bad records are
    left out, and written to `<state>/ingests/NAME/<time>.jsonl`, beside a summary. On any error
    `data/` and data.dvc stay as they were. Raises ValueError for a bad name, a source that cannot
    be read or has too many bad records, and a `data/` that is not what data.dvc pins.

    Dialogues and comparisons keep the ids that their rows have. A row with the id and the content
    of an earlier one is left out; one with its id and other content becomes `ID~` and 8 hex digits.
    """
    target = _folder_of(project, name, source.kind)
    intake = Intake(Reading(source, name, state), _log_file(state, name))
    with workspace(project, state):
        _refuse_changed(project)  # now, not after hours of reading
    with summed_up(intake, revision(project)) as summary, spool(project) as new:
        with FileLock(_lock_of(state, source)):  # a download goes on where another one stopped
            write_shards(new / "read", intake.documents())
        with workspace(project, state) as aside:
            if _status(project) == "missing":
                _restore(project, state, aside)
            _refuse_changed(project)
            summary["revision_before"] = revision(project)
            summary |= gathered(target, new, aside, intake, append)
            with undone_on_error(project, target):
                put(new / "read", target, project)
                _pin(project, state)
            summary["revision"] = revision(project)
    done = Ingested.model_validate(summary)
    place = target.relative_to(project).as_posix()
    log.info("%s: %d rows, revision %s", place, done.total_documents, done.revision)
    if source.kind == _DOCUMENTS:
        warn_of_few(done, source)
    return done


def remove(project: Path, state: Path, name: str) -> str:
    """Take a user's dataset out of `data/`, pin the rest, and return that revision.

    What is no document is called `<kind>/NAME`, as `holdings` names it. The revision before can
    be restored. On any error `data/` and data.dvc stay as they were. Raises ValueError if there is
    no such dataset, and for a `data/` that is not what data.dvc pins.
    """
    folder, _, short = name.rpartition("/")
    kinds: dict[str, Kind] = {kind: kind for kind in KINDS}
    kind = kinds.get(folder, _DOCUMENTS)
    target = _folder_of(project, name if kind == _DOCUMENTS else short, kind)
    with workspace(project, state) as aside:
        if _status(project) == "missing":
            _restore(project, state, aside)
        _refuse_changed(project)
        if not target.is_dir():
            place = target.relative_to(project)
            raise ValueError(f"There is no {place}. `bloomery data list` shows what there is.")
        with undone_on_error(project, target):
            put(None, target, project)
            _pin(project, state)
    return revision(project)


def _folder_of(project: Path, name: str, kind: Kind) -> Path:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ValueError(
            f"{name!r} cannot name a dataset: use a-z, 0-9, _ and -, and none of {_RESERVED}"
        )
    return project.joinpath("data", *((kind,) if kind in KINDS else ()), name)


def _pin(project: Path, state: Path) -> None:
    """Let data.dvc name `data/` as it is, and keep that in DVC's cache and its remote."""
    dvc(project, state, "add", "data")
    dvc(project, state, "push", "data.dvc")
    assert _status(project) == "clean", "DVC pinned another hash than that of data/"


def _refuse_changed(project: Path) -> None:
    if _status(project) == "changed":
        raise ValueError(f"{project / 'data'} was changed by hand: {_REMEDY}")


def _lock_of(state: Path, source: Source) -> Path:
    key = hashlib.sha256(source.location.encode()).hexdigest()[:16]
    (state / "ingests").mkdir(parents=True, exist_ok=True)
    return state / "ingests" / f".{key}.lock"


def _log_file(state: Path, name: str) -> Path:
    return state / "ingests" / name / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl"


def _restore(project: Path, state: Path, aside: Path) -> None:
    if _status(project) == "clean":
        return
    cache = _cache(project, state)
    if unsaved := _unsaved(project, cache):
        raise ValueError(f"{unsaved[0]} is not in DVC's cache and would be lost: {_REMEDY}")
    is_new = _gather(project, state, aside, cache, revision(project))
    put(aside / "data", project / "data", project)
    if is_new:
        dvc(project, state, "commit", "--force", "data.dvc")
        dvc(project, state, "push", "data.dvc")


def _unsaved(project: Path, cache: Path) -> list[Path]:
    files = files_in(project / "data")
    return [file for file in files if not object_of(cache, md5_of(file)).exists()]


def _gather(project: Path, state: Path, aside: Path, cache: Path, pin: str) -> bool:
    """Write the revision `pin` to `aside/data`; return whether it had to be built for it."""
    if copy_objects(cache, pin, aside / "data"):
        return False
    with pinned(project, f"outs:\n- md5: {pin}\n  hash: md5\n  path: data\n"):
        try:
            dvc(project, state, "fetch", "data.dvc")  # exits with 0 though it may not find all
        except ValueError as error:
            log.warning("%s", error)
    if copy_objects(cache, pin, aside / "data"):
        assert digest(aside / "data") == pin, "a listing of this hash gives the folder"
        return False
    builtin.build(aside / "data")
    if (built := digest(aside / "data")) != pin:
        raise ValueError(
            f"data.dvc pins {pin}, which neither DVC's cache nor its remote has whole and sound; "
            f"the installed packages give {built}. `dvc pull` from a remote that has it, or go "
            "back to the data.dvc of the last commit"
        )
    return True


@functools.cache  # another process has to be asked for it
def _cache(project: Path, state: Path) -> Path:
    return Path(dvc(project, state, "cache", "dir").strip())
