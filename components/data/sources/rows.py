"""Rows: JSON lines, JSON, CSV and Parquet."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, cast

from components.data.document import Document
from components.data.sources.documents import document_of_row, reject, text_columns, too_long
from components.data.sources.source import Blob, Reading, Reject
from components.data.sources.streams import as_utf8, bounded_lines, head, json_values
from components.data.sources.texts import what_else

_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20
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
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        for number, row in _numbered(rows):
            if isinstance(row, str):
                reason = "too long" if row.startswith(_LONG) else "not CSV"
                yield reject(reading, blob, reason, row, "", number)
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


class _CsvLines:
    """The lines of a CSV file; csv.Error instead of one that is too long."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        """Read lines of up to `limit` bytes."""
        self._lines = bounded_lines(stream, limit)

    def __iter__(self) -> "_CsvLines":
        """Return itself: unlike a generator, it goes on after an error."""
        return self

    def __next__(self) -> str:
        """Return a line."""
        line, is_whole = next(self._lines)
        if not is_whole:
            raise csv.Error(_LONG[0])
        return line.decode("utf-8", "surrogateescape")  # refused where it becomes a document


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the rows, header 0, and instead of those that are no CSV what is wrong with them."""
    number = 0
    while True:
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, str(error)
        number += 1


def read_parquet(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each row, reading no column that is neither text nor an integer."""
    import pyarrow.parquet as parquet  # here, since it takes a second and most runs need none

    with blob.open() as stream:
        opened: Any = parquet.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        columns = _columns(opened.schema_arrow)
        wanted = text_columns(reading, columns)
        if missing := [name for name in wanted if name not in columns]:
            detail = f"no column {missing[0]!r} of text among these: {', '.join(columns) or 'none'}"
            whole = reject(reading, blob, "no text column", detail)
            yield replace(whole, count=max(1, opened.metadata.num_rows))
            return
        number = 0
        for batch in opened.iter_batches(_BATCH_ROWS, columns=list(columns)):
            for row in batch.to_pylist():
                number += 1
                yield document_of_row(reading, blob, row, number)


def _columns(schema: Any) -> dict[str, object]:
    import pyarrow as pa

    def fits(kind: Any) -> bool:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        return is_text or pa.types.is_string_view(kind) or pa.types.is_integer(kind)

    return {field.name: field for field in schema if fits(field.type)}
