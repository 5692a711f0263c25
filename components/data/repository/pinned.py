"""Files of the pinned revision: named by their content, then linked to where nobody edits them.

What data.dvc pins is one hash of a listing, and the listing has a hash of every file. So a step
that reads some files depends on these alone, and is known before any of them is read.
"""

import logging
import re
import shutil
from pathlib import Path

from components.core.artifacts.data import DataFile, DataFiles, DataRevision
from components.core.files import link_or_copy
from components.core.settings import settings
from components.data.repository import dataset
from components.data.repository.objects import md5_of, object_of

_BROUGHT = ".brought"

log = logging.getLogger(__name__)


def pinned_files(asked: DataRevision | None = None) -> DataFiles:
    """Return all files of the revision that `data.dvc` pins, `asked` if that is given.

    A `data/` that is missing and that DVC's cache does not list is made first.

    Raises:
        ValueError: another revision is asked, `data/` was changed by hand, or it cannot be had.
    """
    project, state = _places()
    pin = dataset.revision(project)
    if asked is not None and asked.revision != pin:
        raise ValueError(
            f"Revision {asked.revision} is asked, but data.dvc pins {pin}. Bring back the data.dvc "
            "of that revision with git, or `bloomery data restore --checkout`, then run again."
        )
    files = (DataFile(name=name, md5=md5) for name, md5 in dataset.listing(project, state).items())
    return DataFiles(files=tuple(files), revision=pin)


def matching(data: DataFiles, pattern: str) -> DataFiles:
    """Return the files whose whole name matches a regular expression."""
    chosen = tuple(file for file in data.files if re.fullmatch(pattern, file.name))
    return data.model_copy(update={"files": chosen})


def take(data: DataFiles, out: Path, below: str = "") -> None:
    """Link `data` into `out`, each file proved by its hash.

    What matches the regular expression `below` at the beginning of a name is left out of it there.

    They come from DVC's cache, which nobody edits, else are copied from `data/`, else the revision
    is brought back first. What lies in `out` is removed.

    Raises:
        ValueError: a file cannot be had, or none of its copies is sound.
    """
    for old in out.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    project, state = _places()
    cache = dataset.cache_of(project, state)
    left = [file for file in data.files if not _place(file, out, below, cache, project / "data")]
    if left:
        log.info("%s is in no place at hand: revision %s is brought", left[0].name, data.revision)
        dataset.bring(project, state, data.revision, out / _BROUGHT)
        left = [file for file in left if not _place(file, out, below, cache, out / _BROUGHT)]
        shutil.rmtree(out / _BROUGHT)
    assert not left, "a revision that was brought holds what it lists"


def _place(file: DataFile, out: Path, below: str, cache: Path, folder: Path) -> bool:
    """Put a file into `out`; return whether a sound one was found."""
    to = out / re.sub(f"^{below}", "", file.name)
    to.parent.mkdir(parents=True, exist_ok=True)
    cached, copied = object_of(cache, file.md5), folder / file.name
    if cached.is_file():
        link_or_copy(cached, to)
        if md5_of(to) == file.md5:
            return True
        log.warning("%s is corrupt: removed from DVC's cache", cached)
        cached.unlink()
        to.unlink()
    if copied.is_file():
        shutil.copyfile(copied, to)  # a link would follow who edits data/ in place
        if md5_of(to) == file.md5:
            return True
        to.unlink()
    return False


def _places() -> tuple[Path, Path]:
    return settings().project.resolve(), settings().home.resolve()
