"""What operating systems leave in folders and archives, and names that are no UTF-8."""

import re
import zipfile
from pathlib import PurePosixPath

_LEFT = frozenset(
    {
        *(".ds_store", "__macosx", ".spotlight-v100", ".trashes", ".fseventsd", ".apdisk"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *(".directory", "lost+found"),
    }
)
_UTF8_FLAG = 0x800
_JAPANESE = re.compile(r"[\u3041-\u30ff\u4e00-\u9fff\uff01-\uff5e\uff71-\uff9f]{2}")
_BACKSLASH_AS_SECOND = re.compile(rb"[\x81-\x9f\xe0-\xfc]\\")


def is_left_over(name: str) -> bool:
    """Whether a path is of what a system leaves beside files: `.DS_Store`, `__MACOSX/._a.txt`."""
    parts = PurePosixPath(name).parts
    return any(part.lower() in _LEFT or part.startswith(("._", "~$")) for part in parts)


def readable(name: str) -> str:
    r"""Return a name that UTF-8 can hold: a byte of another encoding is written `\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def name_in_zip(entry: zipfile.ZipInfo) -> str:
    """Return the path of an entry with `/` between its parts, as its writer meant it.

    What does not say that it is UTF-8 may still be, or is the code page of who wrote it: that of
    Japan is told by its letters, any other is taken for the first PC's.
    """
    name = entry.orig_filename.partition("\0")[0]
    if not entry.flag_bits & _UTF8_FLAG and not name.isascii():
        name = _decoded(name.encode("cp437"))
    return name.replace("\\", "/")


def _decoded(name: bytes) -> str:
    for encoding in ("utf-8", "cp932"):
        try:
            found = name.decode(encoding)
        except UnicodeDecodeError:
            continue
        is_sure = _JAPANESE.search(found) or _BACKSLASH_AS_SECOND.search(name)
        if encoding == "utf-8" or is_sure:
            return found
    return name.decode("cp437")
