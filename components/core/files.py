"""Files that are whole or absent, and the hashes that prove what they hold."""

import hashlib
import json
import os
import shutil
from pathlib import Path

_BLOCK = 1 << 20


def sha256(file: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def manifest(folder: Path, exclude: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the sha256 of every file below `folder`, by relative path.

    Names in `exclude` and names that start with a dot are left out, at any depth.
    """

    def kept(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return path.is_file() and not any(p in exclude or p.startswith(".") for p in parts)

    files = sorted(path for path in folder.rglob("*") if kept(path))
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def write_atomically(file: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the whole new one, even after a crash."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(file)


def write_json(file: Path, value: object) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_atomically(file, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def link_or_copy(file: str | Path, to: str | Path) -> None:
    """Give a file that nobody writes again a second name, or copy it to another file system.

    What has that name already is replaced, not written over: it may be a damaged file's other name.
    """
    Path(to).unlink(missing_ok=True)
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)


def size_of(folder: Path, pattern: str = "*") -> int:
    """Return the bytes of the files below `folder` whose name matches `pattern`."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())
