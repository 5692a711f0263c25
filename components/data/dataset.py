"""The dataset `data/` and its pin `data.dvc`: the only code that calls DVC.

DVC moves and keeps the files. Whether `data/` is what the pin says is proven here, by hashing every
byte: `dvc checkout` and `dvc fetch` exit with 0 when an object is corrupt or missing. Files are put
together aside and moved into place, so `data/` is never half written.

`project` is the folder with `data.dvc`; `state` is the folder of machine state, which holds DVC's
cache and local remote (`dvc-cache`, `dvc-remote`) and its site folder.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock

from components.data import builtin
from components.data.document import write_documents
from components.data.readers import read_user_documents

_NAME = re.compile(r"[a-z0-9_-]+")
_PIN = re.compile(r"^- md5: ([0-9a-f]{32}\.dir)$", re.MULTILINE)
_BLOCK_BYTES = 1 << 20
_GENERATED = "# Written by components/data/dataset.py: keep your own settings in .dvc/config.\n"

log = logging.getLogger(__name__)


def revision(project: Path) -> str:
    """Return the hash of `data/` that data.dvc pins, such as `d6ae...aa.dir`."""
    file = project / "data.dvc"
    found = _PIN.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    if len(found) != 1:
        raise ValueError(f"{file} pins no folder: restore it from git")
    return found[0]


def digest(folder: Path) -> str:
    """Return the hash that DVC gives a folder, from every byte in it.

    It is the md5 of the JSON list of the files' relative paths and md5s, sorted by path.
    """
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    listing = [{"md5": _md5(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest() + ".dir"


def status(project: Path) -> Literal["clean", "changed", "missing"]:
    """Say whether `data/` is what data.dvc pins. Reads every byte."""
    if not (project / "data").exists():
        return "missing"
    return "clean" if digest(project / "data") == revision(project) else "changed"


def restore(project: Path, state: Path) -> None:
    """Make `data/` be what data.dvc pins: from DVC's cache, its remote, or the installed packages.

    Raises ValueError, and leaves `data/` as it is, if it holds files that DVC's cache does not, or
    if none of the three has what is pinned.
    """
    with _workspace(project, state) as aside:
        _restore(project, state, aside)


def add(project: Path, state: Path, name: str, path: Path) -> str:
    """Write a user's documents to `data/NAME/documents.jsonl`, pin the result, return the revision.

    What NAME held is replaced; the revision before can be restored with its data.dvc. On any error
    `data/` and data.dvc stay as they were. Raises ValueError for a bad name, documents that cannot
    be read, and a `data/` that is not what data.dvc pins.
    """
    if not _NAME.fullmatch(name) or name in builtin.NAMES:
        raise ValueError(
            f"{name!r} cannot name a dataset: use a-z, 0-9, _ and -, and none of {builtin.NAMES}"
        )
    with _workspace(project, state) as aside:
        if (found := status(project)) == "missing":
            _restore(project, state, aside)
        elif found == "changed":
            raise ValueError(f"{project / 'data'} was changed by hand: {_REMEDY_CHANGED}")
        count = write_documents(aside / "new" / "documents.jsonl", read_user_documents(path, name))
        with _undone_on_error(project, name, aside):
            _replace(aside / "new", project / "data" / name, aside)
            _dvc(project, state, "add", "data")
            _dvc(project, state, "push", "data.dvc")
            assert status(project) == "clean", "DVC pinned another hash than that of data/"
        log.info("data/%s: %d documents, revision %s", name, count, revision(project))
        return revision(project)


_REMEDY_CHANGED = "move it away, or pin it with `dvc add data`, then try again"


def _restore(project: Path, state: Path, aside: Path) -> None:
    data, pin = project / "data", revision(project)
    if status(project) == "clean":
        return
    cache = Path(_dvc(project, state, "cache", "dir").strip())
    if unsaved := [file for file in _files(data) if not _object(cache, _md5(file)).exists()]:
        raise ValueError(f"{unsaved[0]} is not in DVC's cache and would be lost: {_REMEDY_CHANGED}")
    if not _copy_objects(cache, pin, aside / "data"):
        _dvc(project, state, "fetch", "data.dvc")  # exits with 0 whether or not it finds all
        if not _copy_objects(cache, pin, aside / "data"):
            _build(project, state, aside)
            return
    assert digest(aside / "data") == pin, "a listing with the pinned hash gives the pinned folder"
    _replace(aside / "data", data, aside)


def _copy_objects(cache: Path, pin: str, folder: Path) -> bool:
    """Write what `pin` lists; return whether the cache has all of it. Removes corrupt objects."""
    shutil.rmtree(folder, ignore_errors=True)
    if not _is_sound(_object(cache, pin)):
        return False
    listing = json.loads(_object(cache, pin).read_bytes())
    sound = [_is_sound(_object(cache, entry["md5"])) for entry in listing]
    if not all(sound):
        return False
    for entry in listing:
        file = folder / entry["relpath"]
        if ".." in file.parts or not file.is_relative_to(folder):
            raise ValueError(f"{pin} lists {entry['relpath']!r}, outside data/: do not use it")
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_object(cache, entry["md5"]), file)
    return True


def _is_sound(cached: Path) -> bool:
    """Whether an object of the cache holds the bytes its name says. A corrupt one is removed."""
    if not cached.is_file():
        return False
    if _md5(cached) == cached.parent.name + cached.name.removesuffix(".dir"):
        return True
    log.warning("%s is corrupt: removed from DVC's cache, to be fetched again", cached)
    cached.unlink()
    return False


def _build(project: Path, state: Path, aside: Path) -> None:
    """Build the built-in sources, and put them into place, cache and remote if they are the pin."""
    pin = revision(project)
    builtin.build(aside / "data")
    if (built := digest(aside / "data")) != pin:
        raise ValueError(
            f"data.dvc pins {pin}, which neither DVC's cache nor its remote has whole and sound; "
            f"the installed packages give {built}. `dvc pull` from a remote that has it, or go "
            "back to the data.dvc of the last commit"
        )
    _replace(aside / "data", project / "data", aside)
    _dvc(project, state, "commit", "--force", "data.dvc")
    _dvc(project, state, "push", "data.dvc")


def _replace(new: Path, target: Path, aside: Path) -> None:
    """Move a folder into place; what was there moves aside, and back on an error."""
    old = aside / "old"
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


@contextmanager
def _undone_on_error(project: Path, name: str, aside: Path) -> Generator[None, None, None]:
    """Put `data/NAME` and data.dvc back as they were if the block raises."""
    target, pinned = project / "data" / name, (project / "data.dvc").read_bytes()
    existed = target.exists()
    shutil.rmtree(aside / "old", ignore_errors=True)
    try:
        yield
    except BaseException:
        if (aside / "old").exists() or not existed:
            shutil.rmtree(target, ignore_errors=True)
        if (aside / "old").exists():
            (aside / "old").rename(target)
        (project / "data.dvc").write_bytes(pinned)
        raise


@contextmanager
def _workspace(project: Path, state: Path) -> Generator[Path, None, None]:
    """Hold the locks of the state and of the project; give an empty folder on its file system."""
    aside = project / ".dvc" / "tmp" / "bloomery"
    state.mkdir(parents=True, exist_ok=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(state / "dvc.lock"), FileLock(aside.with_suffix(".lock")):
        _write_local_config(project, state)
        shutil.rmtree(aside, ignore_errors=True)  # what a killed process left
        aside.mkdir()
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _write_local_config(project: Path, state: Path) -> None:
    """Tell DVC, in the ignored .dvc/config.local, of another state folder and of a missing git."""
    project, state = project.resolve(), state.resolve()
    lines = list[str]()
    if not any((folder / ".git").exists() for folder in (project, *project.parents)):
        lines += ["[core]", "no_scm = true"]
    if state != project / ".bloomery":
        lines += ["[cache]", f'dir = "{state}/dvc-cache"']
        lines += ["['remote \"local\"']", f'url = "{state}/dvc-remote"']
    file = project / ".dvc" / "config.local"
    found = file.read_text(encoding="utf-8") if file.exists() else ""
    wanted = _GENERATED + "\n".join([*lines, ""]) if lines else ""
    if found and not found.startswith(_GENERATED):
        if lines:
            raise ValueError(f"{file} is yours: put into it, then try again: {'; '.join(lines)}")
    elif found != wanted:
        file.write_text(wanted, encoding="utf-8")


def _dvc(project: Path, state: Path, *arguments: str) -> str:
    """Run DVC in the project and return what it prints. Raises ValueError if it fails."""
    site = state.resolve() / "dvc_site"
    site.mkdir(mode=0o700, exist_ok=True)  # DVC unpickles what it finds there
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *arguments],
        cwd=project,
        env=os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"`dvc {' '.join(arguments)}` failed in {project}: {done.stderr.strip()}")
    return done.stdout


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _object(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _md5(file: Path) -> str:
    hashed = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            hashed.update(block)
    return hashed.hexdigest()
