"""Plain text, Markdown and HTML: decoded, otherwise as they were found."""

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from components.data.document import Document
from components.data.sources.charsets import page_text
from components.data.sources.documents import made, reject, too_long
from components.data.sources.source import Blob, Reading, Reject
from components.data.sources.streams import as_utf8, bounded_lines, head

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
        is_page = blob.kind.lower().endswith((".html", ".htm", ".xhtml"))
        stream = as_utf8(found, reading.source.encoding)
        if reading.source.unit == "file" or is_page:
            yield _whole(reading, blob, stream.read(reading.source.max_record_bytes + 1), is_page)
        else:
            yield from _parts(reading, blob, stream)


def _whole(reading: Reading, blob: Blob, content: bytes, is_page: bool) -> Document | Reject:
    if len(content) > reading.source.max_record_bytes:
        return too_long(reading, blob, content)
    return page(reading, blob, content) if is_page else decoded(reading, blob, content)


def page(
    reading: Reading, blob: Blob, content: bytes, told: str = "", row: int | None = None
) -> Document | Reject:
    """Return the document of a web page, in the encoding that it or its server names.

    One that names none that fits is guessed; its metadata says so.
    """
    try:
        text, guessed = page_text(content, told)
    except UnicodeDecodeError:
        return decoded(reading, blob, content, row)  # which says what is wrong
    known = {"guessed_encoding": guessed} if guessed else {}
    return made(reading, replace(blob, metadata=blob.metadata | known), text, row)


def decoded(
    reading: Reading, blob: Blob, content: bytes, row: int | None = None
) -> Document | Reject:
    """Return the document of some UTF-8."""
    try:
        return made(reading, blob, content.decode("utf-8"), row)
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} is not UTF-8: name its --encoding, such as latin-1"
        return reject(reading, blob, "not UTF-8", detail, content, row)


def _parts(reading: Reading, blob: Blob, stream: BinaryIO) -> Iterator[Document | Reject]:
    for number, (content, is_whole) in enumerate(_cut(reading, stream), start=1):
        if not is_whole:
            yield too_long(reading, blob, content, number)
        elif content.strip():
            yield decoded(reading, blob, content.rstrip(b"\r\n"), number)


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
