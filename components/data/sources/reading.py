"""A source read as a stream: documents, and a reject for each record that becomes none."""

import csv
import errno
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

from components.data.document import Document
from components.data.seen import REPEATED
from components.data.sources.archives import members, seekable
from components.data.sources.buckets import objects
from components.data.sources.compression import SUFFIXES, BrokenOff, Tail, expanded
from components.data.sources.documents import reject
from components.data.sources.files import LINK, local_files, path_of
from components.data.sources.hugging_face import is_saved_dataset, read_dataset
from components.data.sources.leftovers import is_left_over
from components.data.sources.losses import PADDING, begun, of_tail, with_rest
from components.data.sources.rows import read_json, read_json_lines, read_parquet
from components.data.sources.separated import csv_dialect, read_csv
from components.data.sources.source import (
    ArchiveLimit,
    Blob,
    Reading,
    Reject,
    without_credentials,
)
from components.data.sources.sql import is_database, read_query
from components.data.sources.streams import as_utf8
from components.data.sources.texts import read_text
from components.data.sources.warc import read_warc
from components.data.sources.web import downloaded

ALREADY_THERE = "already there"
_LEFT_OVER = "left by a system"
HARMLESS = frozenset({ALREADY_THERE, REPEATED, "blank", "other kind", _LEFT_OVER, PADDING, LINK})
"""Reasons that say nothing against a source."""

_READ: dict[str, Callable[[Reading, Blob], Iterator[Document | Reject]]] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_text,
    ".markdown": read_text,
    ".html": read_text,
    ".htm": read_text,
    ".xhtml": read_text,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
    ".warc": read_warc,
    ".wet": read_warc,
}
_NAMES: dict[Callable[[Reading, Blob], Iterator[Document | Reject]], str] = {
    read_text: "text",
    read_json_lines: "JSON, an object a line",
    read_json: "JSON",
    read_csv: "CSV",
    read_parquet: "Parquet",
    read_warc: "WARC, a page a record",
}
_READER = {
    "text": ".txt",
    "html": ".html",
    "jsonl": ".jsonl",
    "json": ".json",
    "csv": ".csv",
    "parquet": ".parquet",
    "warc": ".warc",
}
_FORMAT = {
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # here, where archives are unpacked
_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz")


class SourceGone(ValueError):
    """What was there when the reading began no longer is."""


def read(reading: Reading) -> Iterator[Document | Reject]:
    """Yield what is in a source, in an order that depends on nothing but it.

    Raises ValueError, with the remedy, if the source as a whole cannot be had or goes away.
    """
    location = reading.source.location
    if location.startswith("hf://"):
        yield from read_dataset(reading)
    elif reading.source.query or is_database(location):
        yield from read_query(reading)
    elif _is_saved(reading):
        reading.source = reading.source.model_copy(update={"location": f"hf://{path_of(location)}"})
        yield from read_dataset(reading)
    else:
        for blob in _blobs(reading):
            if isinstance(blob, Reject):
                yield blob
            else:
                yield from _read_blob(reading, blob)


def plan(reading: Reading) -> Iterator[tuple[str, str]]:
    """Yield where each file of a source is and how it would be read, before it is read.

    Of CSV the beginning is looked at.

    Raises ValueError if the source as a whole cannot be had.
    """
    location = reading.source.location
    if location.startswith("hf://") or _is_saved(reading):
        yield location, "a Hugging Face dataset"
    elif reading.source.query or is_database(location):
        yield without_credentials(location), "rows of a query"
    elif location.startswith(("http://", "https://")):
        yield without_credentials(location), "by what the server says that it is"
    else:
        for blob in _blobs(reading):
            if isinstance(blob, Reject):
                yield blob.place, f"passed over: {blob.detail}"
                continue
            left_over = is_left_over(blob.name)
            how = f"passed over: {_LEFT_OVER}" if left_over else _reader_of(reading, blob.kind)
            yield blob.place, _dialect(reading, blob) if how == _NAMES[read_csv] else how


def _dialect(reading: Reading, blob: Blob) -> str:
    """Say how a CSV file is written, by its beginning."""
    try:
        with blob.open() as stream:
            return str(csv_dialect(reading, blob, as_utf8(stream, reading.source.encoding)))
    except ValueError as error:
        return f"CSV; {error}"


def _reader_of(reading: Reading, kind: str) -> str:
    suffix = PurePosixPath(kind).suffix.lower()
    if suffix in _ARCHIVES:
        return f"each file of a {suffix} archive"
    if compression := SUFFIXES.get(suffix):
        return f"{compression} of {_reader_of(reading, kind[: -len(suffix)])}"
    suffix = _READER.get(reading.source.reader, suffix)
    if suffix in _READ and not _has_rows(reading, suffix):
        return "passed over: it has no rows"
    return _NAMES[_READ[suffix]] if suffix in _READ else "passed over: another kind of file"


def _is_saved(reading: Reading) -> bool:
    location = reading.source.location
    return "://" not in location and not reading.source.more and is_saved_dataset(path_of(location))


def _blobs(reading: Reading) -> Iterator[Blob | Reject]:
    location = reading.source.location
    if location.startswith(("http://", "https://")):
        return downloaded(reading)
    if "://" in location and not location.startswith("file://"):
        return objects(reading)
    return local_files(reading)


def _read_blob(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield what is in a blob; one that is damaged ends with a reject, one that is gone raises."""
    progress = begun(blob)
    try:
        for found in _inside(reading, blob):
            progress.num_records += found.count if isinstance(found, Reject) else 1
            yield found
    except SourceGone:
        raise
    except ArchiveLimit as error:
        if blob.depth:
            raise  # it counts for the outermost file
        yield with_rest(progress, reject(reading, blob, "archive limit", str(error)), error)
    except _damages() as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        if _is_gone(error):
            raise SourceGone(
                f"{blob.place} cannot be read to its end: {error}. Nothing was added; when it is "
                "there again, run the same command"
            ) from error
        reason = _reason(error)
        unknown = "; how much is missing is not known" if reason == "truncated" else ""
        detail = f"{type(error).__name__}: {error}{unknown}"
        yield with_rest(progress, reject(reading, blob, reason, detail), error)


def _damages() -> tuple[type[Exception], ...]:
    from warcio.exceptions import ArchiveLoadFailed

    ours = (OSError, EOFError, ValueError, RuntimeError, zlib.error, csv.Error)
    return (*ours, zipfile.BadZipFile, tarfile.TarError, ArchiveLoadFailed)


def _is_gone(error: Exception) -> bool:
    """Whether it is the source, not its content: libraries raise OSError, bare, for content too."""
    is_content = isinstance(error, gzip.BadGzipFile | BrokenOff) or type(error) is OSError
    return isinstance(error, OSError) and not (is_content and error.errno is None)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    is_short = isinstance(error, EOFError) or "runcated" in str(error)
    return "truncated" if is_short or "unexpected end of data" in str(error) else "unreadable"


def _inside(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    suffix = PurePosixPath(blob.kind).suffix.lower()
    if reading.source.reader and suffix not in SUFFIXES and suffix not in _ARCHIVES:
        suffix = _READER[reading.source.reader]
    if is_left_over(blob.name):
        yield reject(reading, blob, _LEFT_OVER, "what systems keep beside files, no document")
    elif compression := SUFFIXES.get(suffix):
        yield from _decompressed(reading, blob, suffix, compression)
    elif suffix in _ARCHIVES:
        for member in members(reading, blob):
            if isinstance(member, Blob):
                yield from _read_blob(reading, replace(member, depth=blob.depth + 1))
            else:
                yield member
    elif suffix in _READ and not _has_rows(reading, suffix):
        yield reject(reading, blob, "other kind", f"{suffix} files, which have no rows")
    elif suffix in _READ:
        named = {"format": _FORMAT[suffix]} if suffix in _FORMAT else {}
        blob = replace(blob, metadata=named | blob.metadata)
        yield from _READ[suffix](reading, seekable(reading, blob) if suffix == ".parquet" else blob)
    else:
        kind = f"{suffix} files" if suffix else "files without a suffix"
        known = ", ".join(_READ)
        yield reject(reading, blob, "other kind", f"{kind}, which are none of {known}")


def _has_rows(reading: Reading, suffix: str) -> bool:
    """Whether a file can hold what is asked for: a text is no dialogue."""
    return not reading.source.is_of_dialogues or _READ[suffix] not in (read_text, read_warc)


def _decompressed(
    reading: Reading, blob: Blob, suffix: str, compression: str
) -> Iterator[Document | Reject]:
    """Yield what is in a compressed blob, whose damage is its own."""
    kind = blob.kind[: -len(suffix)] + (".tar" if suffix in _ARCHIVES else "")
    tail, num_records = Tail(), 0

    def opened() -> BinaryIO:
        return expanded(blob.open(), compression, blob.budget, tail)

    inner = replace(blob, kind=kind, open=opened, depth=blob.depth + 1, size=None)
    for found in _inside(reading, inner):
        num_records += found.count if isinstance(found, Reject) else 1
        yield found
    if tail.num_zeros or tail.num_other:
        yield of_tail(reading, blob, tail, num_records)
