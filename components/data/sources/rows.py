"""Rows: JSON lines, JSON, CSV and Parquet."""

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple, cast

from components.data.document import Document
from components.data.sources.documents import document_of_row, reject, text_columns, too_long
from components.data.sources.source import SAMPLE_CHARACTERS, Blob, Reading, Reject
from components.data.sources.streams import as_utf8, bounded_lines, head, json_values
from components.data.sources.texts import what_else

_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20
_AT_END = "unexpected end of data"  # the csv module's
_LONG = ("too long", "field larger")  # the second is the csv module's


def read_json_lines(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each line."""
    yield from _read_json(reading, blob, bounded_lines)


def read_json(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the documents of an array of objects, of one object, or of one after another."""
    yield from _read_json(reading, blob, json_values)


def _read_json(reading: Reading, blob: Blob, cut: Any) -> Iterator[Document | Reject]:
    with blob.open() as found:
        problem = what_else(head(found))
        if problem.startswith("it is"):
            yield reject(reading, blob, "binary", problem, head(found))
            return
        stream = as_utf8(found, reading.source.encoding)
        values: Iterable[tuple[bytes, bool]] = cut(stream, reading.source.max_record_bytes)
        for number, (content, is_whole) in enumerate(values, start=1):
            if not is_whole:
                yield too_long(reading, blob, content, number)
            elif content.strip():
                yield _json_document(reading, blob, content, number)


def _json_document(reading: Reading, blob: Blob, content: bytes, number: int) -> Document | Reject:
    try:
        row: object = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} of it is not UTF-8: name its --encoding, such as latin-1"
        return reject(reading, blob, "not UTF-8", detail, content, number)
    except (ValueError, RecursionError) as error:
        return reject(reading, blob, "not JSON", str(error), content, number)
    if not isinstance(row, dict):
        return reject(reading, blob, "not JSON", "not an object", content, number)
    return document_of_row(reading, blob, cast("dict[str, object]", row), number)


def read_csv(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each row; the first row names the columns."""
    with blob.open() as found:
        if problem := what_else(head(found)):
            yield reject(reading, blob, "binary", problem, head(found))
            return
        csv.field_size_limit(reading.source.max_record_bytes)
        stream = as_utf8(found, reading.source.encoding)
        lines = _CsvLines(stream, reading.source.max_record_bytes)
        delimiter = "\t" if blob.kind.lower().endswith(".tsv") else ","
        header: list[str] | None = None
        for number, row in _numbered(lines, delimiter):
            if isinstance(row, _NoRow):
                whole = reject(reading, blob, row.reason, row.problem, row.sample, number)
                yield replace(whole, count=row.num_lines)
            elif header is None:
                header = row
            elif row and len(row) != len(header):
                detail = f"{len(row)} columns, where the first row names {len(header)}"
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
        line, is_whole = next(self._lines)
        if not is_whole:
            raise csv.Error(_LONG[0])
        # what is not UTF-8 is refused where it becomes a document
        self._of_row.append(line.decode("utf-8", "surrogateescape"))
        return self._of_row[-1]


def _numbered(lines: _CsvLines, delimiter: str) -> Iterator[tuple[int, list[str] | _NoRow]]:
    """Yield the rows, header 0, and instead of those that are no CSV what is wrong with them."""
    number, rows = 0, csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, lines.end_row(str(error))
            rows = csv.reader(lines, delimiter=delimiter, strict=True)
        number += 1


def read_parquet(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each row, reading no column that is neither text nor an integer."""
    import pyarrow.parquet as parquet  # here, since it takes a second and most runs need none

    with blob.open() as stream:
        opened: Any = parquet.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        schema: Any = opened.schema_arrow
        wanted = text_columns(reading, dict.fromkeys(schema.names))
        columns = _columns(schema, wanted)
        if missing := [name for name in wanted if name not in columns]:
            there = ", ".join(f"{field.name} ({field.type})" for field in schema)
            detail = f"no column {missing[0]!r} of text among these: {there or 'none'}"
            whole = reject(reading, blob, "no text column", detail)
            yield replace(whole, count=max(1, opened.metadata.num_rows))
            return
        number = 0
        for batch in opened.iter_batches(_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                number += 1
                try:
                    row |= {name: _as_text(row[name]) for name in wanted}
                except UnicodeDecodeError as error:
                    yield reject(reading, blob, "not UTF-8", str(error), error.object, number)
                else:
                    yield document_of_row(reading, blob, row, number)


def _columns(schema: Any, wanted: Sequence[str]) -> list[str]:
    """Return the columns of text or integers; bytes pass for text where text is wanted."""
    import pyarrow as pa

    def fits(name: str, kind: Any) -> bool:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
        of_bytes = pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view
        is_text = any(test(kind) for test in (*tests, *(of_bytes if name in wanted else ())))
        return is_text or pa.types.is_integer(kind)

    return [field.name for field in schema if fits(field.name, field.type)]


def _as_text(value: object) -> object:
    """Return bytes decoded: what Impala and old Spark write is text without the mark that it is."""
    return value.decode("utf-8") if isinstance(value, bytes) else value
