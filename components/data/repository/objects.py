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
    """Return the hash that DVC gives a folder, from every byte in it."""
    return digest_of(list_folder(folder))


def list_folder(folder: Path) -> dict[str, str]:
    """Return the md5 of every file below a folder, by relative path, sorted by that."""
    files = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
    return {name: md5_of(files[name]) for name in sorted(files)}


def digest_of(listing: dict[str, str]) -> str:
    """Return the hash that DVC gives a folder: the md5 of the JSON list of its files."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in listing.items()]
    return hashlib.md5(json.dumps(entries).encode(), usedforsecurity=False).hexdigest() + ".dir"


def files_in(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def object_of(cache: Path, md5: str) -> Path:
    """Return where the cache has the object of this hash, if it has it."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def copy_objects(cache: Path, pin: str, folder: Path) -> bool:
    """Write what `pin` lists; return whether the cache has all of it. Removes corrupt objects."""
    shutil.rmtree(folder, ignore_errors=True)
    listing = read_listing(cache, pin)
    if listing is None:
        return False
    sound = [_is_sound(object_of(cache, md5)) for md5 in listing.values()]
    if not all(sound):
        return False
    for name, md5 in listing.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(object_of(cache, md5), folder / name)
    return True


def read_listing(cache: Path, pin: str) -> dict[str, str] | None:
    """Return what `pin` lists, as `list_folder` does, or None if the cache does not know it.

    Raises ValueError for a listing of files outside the folder.
    """
    if not _is_sound(object_of(cache, pin)):
        return None
    entries = json.loads(object_of(cache, pin).read_bytes())
    for entry in entries:
        name = Path(entry["relpath"])
        if ".." in name.parts or name.is_absolute():
            raise ValueError(f"{pin} lists {entry['relpath']!r}, outside data/: do not use it")
    return {entry["relpath"]: entry["md5"] for entry in entries}


def _is_sound(cached: Path) -> bool:
    """Whether an object of the cache holds the bytes its name says. A corrupt one is removed."""
    if not cached.is_file():
        return False
    if md5_of(cached) == cached.parent.name + cached.name.removesuffix(".dir"):
        return True
    log.warning("%s is corrupt: removed from DVC's cache, to be fetched again", cached)
    cached.unlink()
    return False
