"""One at a time in `data/`: locks, DVC, and changes that a killed process takes back.

`project` is the folder with `data.dvc`; `state` is the folder of machine state, which holds DVC's
cache and local remote (`dvc-cache`, `dvc-remote`) and its site folder. A change begins with a
journal beside the old `data.dvc` and the old folder, which lie in `<project>/.dvc/tmp/bloomery`;
who finds one there without the process that wrote it puts both back, by renames alone, so that a
full disk is no hindrance.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from components.core.files import write_atomically
from components.core.servers.databases import hidden
from components.core.settings import settings

_GENERATED = (
    "# Written by components/data/repository/dataset.py: keep your own settings in .dvc/config.\n"
)
_JOURNAL = "journal.json"

log = logging.getLogger(__name__)


@contextmanager
def workspace(project: Path, state: Path) -> Generator[Path, None, None]:
    """Hold the locks of the state and of the project; give an empty folder on its file system."""
    aside = _aside(project)
    state.mkdir(parents=True, exist_ok=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(state / "dvc.lock"), _lock(project):
        _write_local_config(project, state)
        _roll_back(project)
        shutil.rmtree(aside, ignore_errors=True)  # what a killed process left
        aside.mkdir()
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def spool(project: Path) -> Generator[Path, None, None]:
    """Give an empty folder on the project's file system, for what may take hours to write.

    It holds none of the locks. What a killed process left goes with the next one.
    """
    place = _aside(project).with_name("bloomery-new")
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob("*.lock"):
        with suppress(Timeout), FileLock(left, timeout=0):
            shutil.rmtree(left.with_suffix(""), ignore_errors=True)
            left.unlink()
    folder = place / uuid.uuid4().hex
    lock = FileLock(folder.with_suffix(".lock"))
    with lock:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".lock").unlink(missing_ok=True)


def recover(project: Path) -> None:
    """Take back what a killed process has half done; what is still at work is let alone."""
    if not (_aside(project) / _JOURNAL).exists():
        return
    try:
        with _lock(project, timeout=0):
            _roll_back(project)
    except Timeout:
        return


@contextmanager
def undone_on_error(project: Path, target: Path) -> Generator[None, None, None]:
    """Put the folder `target` and data.dvc back as they were if the block does not end well."""
    _begin(project, target)
    try:
        yield
    except BaseException:
        _roll_back(project)
        raise
    (_aside(project) / _JOURNAL).unlink()


@contextmanager
def pinned(project: Path, text: str) -> Generator[None, None, None]:
    """Let data.dvc be `text` while the block runs, for DVC to read."""
    _begin(project, project / "data")
    try:
        (project / "data.dvc").write_text(text, encoding="utf-8")
        yield
    finally:
        _roll_back(project)


def put(new: Path | None, target: Path, project: Path) -> None:
    """Move a folder into place, or nothing; what was there moves aside, and back on an error."""
    old = _aside(project) / "old"
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    if new is None:
        return
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def dvc(project: Path, state: Path, *arguments: str) -> str:
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
        raise ValueError(
            f"`dvc {' '.join(arguments)}` failed in {project}: {hidden(done.stderr.strip())}"
        )
    return done.stdout


def _aside(project: Path) -> Path:
    return project / ".dvc" / "tmp" / "bloomery"


def _lock(project: Path, timeout: float = -1) -> FileLock:
    return FileLock(_aside(project).with_suffix(".lock"), timeout=timeout)


def _begin(project: Path, target: Path) -> None:
    aside = _aside(project)
    shutil.rmtree(aside / "old", ignore_errors=True)
    shutil.copy(project / "data.dvc", aside / "data.dvc")
    journal = {"target": target.relative_to(project).as_posix(), "existed": target.exists()}
    write_atomically(aside / _JOURNAL, json.dumps(journal))


def _roll_back(project: Path) -> None:
    """Put back what the journal names, if there is one. May be killed and called again."""
    aside = _aside(project)
    if not (aside / _JOURNAL).exists():
        return
    journal = json.loads((aside / _JOURNAL).read_text("utf-8"))
    target = project / journal["target"]
    if (aside / "old").exists() or not journal["existed"]:
        shutil.rmtree(target, ignore_errors=True)
    if (aside / "old").exists():
        (aside / "old").rename(target)
    elif not journal["existed"] and target.parent.parent == project / "data":
        with suppress(OSError):  # data/evaluation, if others lie there too
            target.parent.rmdir()
    if (aside / "data.dvc").exists():
        (aside / "data.dvc").replace(project / "data.dvc")
    (aside / _JOURNAL).unlink()


def _write_local_config(project: Path, state: Path) -> None:
    """Tell DVC, in the ignored .dvc/config.local, of other places and of a missing git."""
    project, state = project.resolve(), state.resolve()
    remote = settings().dvc_remote
    core = ["remote = store"] if remote else []
    if not any((folder / ".git").exists() for folder in (project, *project.parents)):
        core.append("no_scm = true")
    lines = ["[core]", *core] if core else []
    if remote:
        lines += ["['remote \"store\"']", f'url = "{remote}"', "verify = true"]
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
