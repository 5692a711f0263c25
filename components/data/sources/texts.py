"""Plain text, Markdown and HTML: decoded, otherwise as they were found."""

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from components.data.document import Document
from components.data.sources.charsets import page_text, wide_page
from components.data.sources.documents import made, reject, too_long
from components.data.sources.losses import of_nuls
from components.data.sources.records import Record, bounded_lines
from components.data.sources.source import Blob, Reading, Reject
from components.data.sources.streams import as_utf8, head, nuls_at_end

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
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # marks of UTF-16 and UTF-32


def what_else(start: bytes, encoding: str = "") -> str:
    """Say what a file that is called a text in `encoding` begins like, if it is none."""
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return f"it is {name}, whatever its name says: rename it"
    may_have_nuls = start.startswith(_WIDE) or encoding.startswith(("utf-16", "utf-32"))
    if b"\0" in start.rstrip(b"\0") and not may_have_nuls:
        return f"a NUL at byte {start.index(0)}: no text, or UTF-16 without a byte order mark"
    return ""


def read_text(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document in a text file, or one a paragraph or line if the source says so."""
    with blob.open() as found:
        is_page = blob.metadata.get("format") == "html"
        encoding = wide_page(head(found)) if is_page else ""
        encoding = encoding or reading.source.encoding
        if problem := what_else(head(found), encoding):
            yield reject(reading, blob, "binary", problem, head(found))
            return
        stream, num_records = as_utf8(found, encoding), 0
        if reading.source.unit == "file" or is_page:
            yield _whole(reading, blob, stream.read(reading.source.max_record_bytes + 1), is_page)
            num_records = 1
        else:
            for each in _parts(reading, blob, stream):
                num_records += 1
                yield each
        if nuls := nuls_at_end(stream):
            yield of_nuls(reading, blob, nuls, num_records)


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
    for number, (content, is_whole, _) in enumerate(_cut(reading, stream), start=1):
        if not is_whole:
            yield too_long(reading, blob, content, number)
        elif content.strip():
            yield decoded(reading, blob, content.rstrip(b"\r\n"), number)


def _cut(reading: Reading, stream: BinaryIO) -> Iterator[Record]:
    limit = reading.source.max_record_bytes
    lines = bounded_lines(stream, limit)
    if reading.source.unit == "line":
        yield from lines
        return
    part, size, is_whole = bytearray(), 0, True
    for line, fits, num_bytes in lines:
        if line.strip():
            is_whole = is_whole and fits and size + num_bytes <= limit
            size += num_bytes
            part += line if is_whole else b""
        elif size:
            yield Record(bytes(part), is_whole, size)
            part, size, is_whole = bytearray(), 0, True
    if size:
        yield Record(bytes(part), is_whole, size)
