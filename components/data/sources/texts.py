"""Plain text, Markdown and HTML: decoded, otherwise as they were found."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from components.data.document import Document
from components.data.sources.documents import made, reject, too_long
from components.data.sources.source import Blob, Reading, Reject
from components.data.sources.streams import as_utf8, bounded_lines, head

_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_MAGIC = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"BZh": "a bzip2 file",
    b"%PDF": "a PDF",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def what_else(start: bytes) -> str:
    """Say what a file that is called a text begins like, if it is none."""
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return f"it is {name}, whatever its name says: rename it"
    if b"\0" in start and not start.startswith(_UTF16_OR_32):
        return f"a NUL at byte {start.index(0)}: no text, or UTF-16 without a byte order mark"
    return ""


def read_text(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document in a text file, or one a paragraph or line if the source says so."""
    with blob.open() as found:
        if problem := what_else(head(found)):
            yield reject(reading, blob, "binary", problem, head(found))
            return
        is_html = blob.kind.lower().endswith((".html", ".htm", ".xhtml"))
        stream = as_utf8(found, reading.source.encoding)
        if reading.source.unit == "file" or is_html:
            yield _whole(reading, blob, stream.read(reading.source.max_record_bytes + 1), is_html)
        else:
            yield from _parts(reading, blob, stream)


def _whole(reading: Reading, blob: Blob, content: bytes, is_html: bool) -> Document | Reject:
    if len(content) > reading.source.max_record_bytes:
        return too_long(reading, blob, content)
    return decoded(reading, blob, content, _declared(content) if is_html else "")


def _declared(content: bytes) -> str:
    found = _CHARSET.search(content[:4096])
    return found[1].decode("ascii") if found else ""


def decoded(
    reading: Reading, blob: Blob, content: bytes, otherwise: str = "", row: int | None = None
) -> Document | Reject:
    """Return the document of some UTF-8, or of the encoding that it declares if it is not."""
    try:
        return made(reading, blob, content.decode("utf-8"), row)
    except UnicodeDecodeError as error:
        try:
            return made(reading, blob, content.decode(otherwise), row)
        except (LookupError, UnicodeError):
            detail = f"byte {error.start} is not UTF-8: name its --encoding, such as latin-1"
            return reject(reading, blob, "not UTF-8", detail, content, row)


def _parts(reading: Reading, blob: Blob, stream: BinaryIO) -> Iterator[Document | Reject]:
    for number, (content, is_whole) in enumerate(_cut(reading, stream), start=1):
        if not is_whole:
            yield too_long(reading, blob, content, number)
        elif content.strip():
            yield decoded(reading, blob, content.rstrip(b"\r\n"), "", number)


def _cut(reading: Reading, stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    limit = reading.source.max_record_bytes
    lines = bounded_lines(stream, limit)
    if reading.source.unit == "line":
        yield from lines
        return
    part, is_whole = bytearray(), True
    for line, fits in lines:
        if line.strip():
            is_whole = is_whole and fits and len(part) + len(line) <= limit
            part += line if is_whole else b""
        elif part or not is_whole:
            yield bytes(part), is_whole
            part, is_whole = bytearray(), True
    if part or not is_whole:
        yield bytes(part), is_whole
