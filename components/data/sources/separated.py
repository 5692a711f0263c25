"""CSV: rows of columns, whatever separates these, with or without a row that names them."""

import csv
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

from components.data.document import Document
from components.data.sources.dialect import Dialect, dialect_of
from components.data.sources.documents import document_of_row, reject, text_columns
from components.data.sources.losses import of_nuls, of_whole
from components.data.sources.records import bounded_lines
from components.data.sources.source import SAMPLE_CHARACTERS, Blob, Reading, Reject
from components.data.sources.streams import as_utf8, head, nuls_at_end
from components.data.sources.texts import what_else

_AT_END = "unexpected end of data"  # the csv module's
_LONG = ("too long", "field larger")  # the second is the csv module's

log = logging.getLogger(__name__)


def read_csv(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each row, numbered from 0: usually the first names the columns."""
    with blob.open() as found:
        if problem := what_else(head(found), reading.source.encoding):
            yield of_whole(blob, reject(reading, blob, "binary", problem, head(found)))
            return
        csv.field_size_limit(reading.source.max_record_bytes)
        stream = as_utf8(found, reading.source.encoding)
        try:
            dialect = csv_dialect(reading, blob, stream)
        except ValueError as error:
            problem = reject(reading, blob, "no text column", str(error), head(stream))
            yield of_whole(blob, problem)
            return
        num_records = 0
        for each in _rows(reading, blob, stream, dialect):
            num_records += 1
            yield each
        if nuls := nuls_at_end(stream):
            yield of_nuls(reading, blob, nuls, num_records)


def csv_dialect(reading: Reading, blob: Blob, stream: BinaryIO) -> Dialect:
    """Return how a CSV file is written. Raises ValueError if its text column has to be named."""
    start = head(stream).decode("utf-8", "surrogateescape")
    return dialect_of(start, reading.source, PurePosixPath(blob.kind.lower()).suffix)


def _rows(
    reading: Reading, blob: Blob, stream: BinaryIO, dialect: Dialect
) -> Iterator[Document | Reject]:
    for _ in range(dialect.num_hints):
        stream.readline()
    if not dialect.has_header or dialect.separator != ",":
        log.info("%s is read as %s", blob.place, dialect)
    if not dialect.has_header:
        source = reading.source.model_copy(update={"text_column": dialect.text_column})
        reading = replace(reading, source=source)
    lines = _CsvLines(stream, reading.source.max_record_bytes)
    header: list[str] | None = None
    for number, row in _numbered(lines, dialect.separator):
        if isinstance(row, _NoRow):
            whole = reject(reading, blob, row.reason, row.problem, row.sample, number)
            yield replace(whole, count=row.num_lines)
            continue
        if header is None:
            is_named = dialect.has_header
            header = row if is_named else [str(place) for place in range(1, len(row) + 1)]
            if is_named:
                continue
        if row and len(row) != len(header):
            detail = f"{len(row)} columns, where the first row has {len(header)}"
            yield reject(reading, blob, "wrong columns", detail, ",".join(row), number)
        elif row:
            values = dict(zip(header, map(_number, row), strict=True))
            for column in text_columns(reading, values):
                if column in header:
                    values[column] = row[header.index(column)]
            yield document_of_row(reading, blob, values, number)


def _number(value: str) -> str | int:
    """Return an integer where that is written; `007` and `1_000` are not."""
    is_one = value.isascii() and value.removeprefix("-").isdigit() and len(value) < 19
    return int(value) if is_one and str(int(value)) == value else value


class _NoRow(NamedTuple):
    """Lines that make no row."""

    reason: str
    problem: str
    sample: str
    num_lines: int


class _CsvLines:
    """The lines of a CSV file; csv.Error instead of one that is too long."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        """Read lines of up to `limit` bytes."""
        self._lines = bounded_lines(stream, limit)
        self._again = deque[str]()
        self._of_row: list[str] = []

    def begin_row(self) -> None:
        """Forget the lines that were read."""
        self._of_row = []

    def end_row(self, problem: str) -> _NoRow:
        """Say what is no row since it began. A quote that nobody closes takes its own line alone.

        The lines after that one are read again: else they would be lost with it.
        """
        sample = "".join(self._of_row)[:SAMPLE_CHARACTERS]
        if problem.startswith(_LONG):
            return _NoRow("too long", problem, sample, max(1, len(self._of_row)))
        more = len(self._of_row) - 1
        if not (more or problem == _AT_END):
            return _NoRow("not CSV", problem, sample, 1)
        problem = f"a quote that nobody closes; the {more} lines after it are read without it"
        self._again.extendleft(reversed(self._of_row[1:]))
        return _NoRow("unclosed", problem, self._of_row[0][:SAMPLE_CHARACTERS], 1)

    def __iter__(self) -> "_CsvLines":
        """Return itself: unlike a generator, it goes on after an error."""
        return self

    def __next__(self) -> str:
        """Return a line."""
        if self._again:
            self._of_row.append(self._again.popleft())
            return self._of_row[-1]
        line, is_whole, _ = next(self._lines)
        if not is_whole:
            raise csv.Error(_LONG[0])
        # what is not UTF-8 is refused where it becomes a document
        self._of_row.append(line.decode("utf-8", "surrogateescape"))
        return self._of_row[-1]


def _numbered(lines: _CsvLines, separator: str) -> Iterator[tuple[int, list[str] | _NoRow]]:
    """Yield the rows, the first 0, and instead of those that are no CSV what is wrong with them."""
    number, rows = 0, csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.begin_row()
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, lines.end_row(str(error))
            rows = csv.reader(lines, delimiter=separator, strict=True)
        number += 1
