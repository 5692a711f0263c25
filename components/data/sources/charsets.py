"""The encoding of a web page: what it says of itself, read as browsers read it, else a guess.

Source: the encoding standard of the WHATWG, whose labels mean more than they say: `iso-8859-1` is
Windows' code page 1252.
"""

import codecs
import re
from collections.abc import Iterator

from components.data.sources.streams import MARKS

_BEGINNING = 4096
_META = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]+encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE)
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "utf-16": "utf-8",  # whoever can say so in ASCII is not
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
}


def page_text(content: bytes, told: str = "") -> tuple[str, str]:
    """Return the text of a page, and the encoding if it had to be guessed, else an empty string.

    `told` is what the server said. Raises UnicodeDecodeError if there is no guess.
    """
    for encoding in _declared(content, told):
        try:
            return content.decode(encoding).removeprefix("\ufeff"), ""
        except UnicodeDecodeError:
            continue
    from charset_normalizer import from_bytes

    best = from_bytes(content).best()
    if best is None:
        content.decode("utf-8")  # raises what is wrong with it
    assert best is not None, "it was decoded before"
    return str(best), best.encoding


def wide_page(start: bytes) -> str:
    """Return the encoding of a page of UTF-16 that has no mark, which its first letter tells."""
    if start.startswith(b"<\0"):
        return "utf-16-le"
    return "utf-16-be" if start.startswith(b"\0<") else ""


def _declared(content: bytes, told: str) -> Iterator[str]:
    """Yield the encodings that a page may have, the surest first."""
    start = content[:_BEGINNING]
    yield from (name for mark, name in MARKS if start.startswith(mark))
    if wide := wide_page(start):
        yield wide
    yield "utf-8"  # text of another encoding is hardly ever valid UTF-8
    in_page = [
        found[1].decode("ascii") for found in (_META.search(start), _XML.match(start)) if found
    ]
    for label in (told, *in_page):
        try:
            name = codecs.lookup(label).name
        except LookupError:
            continue
        yield _MEANT.get(name, name)
