"""DVC's cache: files named by their md5, and listings that name the files of a folder.

Nothing is taken from it that does not have the hash it is named by.
"""

import hashlib
import json
import logging
import shutil
from pathlib import Path

_BLOCK_BYTES = 1 << 20

log = logging.getLogger(__name__)


def md5_of(file: Path) -> str:
    """Return the md5 of a file's bytes."""
    hashed = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            hashed.update(block)
    return hashed.hexdigest()


def digest(folder: Path) -> str:
    """Return the hash that DVC gives a folder, from every byte in it.

    It is the md5 of the JSON list of the files' relative paths and md5s, sorted by path.
    """
    files = {p.relative_to(folder).as_posix(): p for p in files_in(folder)}
    listing = [{"md5": md5_of(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest() + ".dir"


def files_in(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def object_of(cache: Path, md5: str) -> Path:
    """Return where the cache has the object of this hash, if it has it."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def copy_objects(cache: Path, pin: str, folder: Path) -> bool:
    """Write what `pin` lists; return whether the cache has all of it. Removes corrupt objects."""
    shutil.rmtree(folder, ignore_errors=True)
    if not _is_sound(object_of(cache, pin)):
        return False
    listing = json.loads(object_of(cache, pin).read_bytes())
    sound = [_is_sound(object_of(cache, entry["md5"])) for entry in listing]
    if not all(sound):
        return False
    for entry in listing:
        file = folder / entry["relpath"]
        if ".." in file.parts or not file.is_relative_to(folder):
            raise ValueError(f"{pin} lists {entry['relpath']!r}, outside data/: do not use it")
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(object_of(cache, entry["md5"]), file)
    return True


def _is_sound(cached: Path) -> bool:
    """Whether an object of the cache holds the bytes its name says. A corrupt one is removed."""
    if not cached.is_file():
        return False
    if md5_of(cached) == cached.parent.name + cached.name.removesuffix(".dir"):
        return True
    log.warning("%s is corrupt: removed from DVC's cache, to be fetched again", cached)
    cached.unlink()
    return False
