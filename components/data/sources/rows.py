"""Rows: JSON lines, JSON and Parquet."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, BinaryIO, cast

from components.data.dialogues.rows import COLUMNS
from components.data.document import Document
from components.data.sources.documents import document_of_row, reject, text_columns, too_long
from components.data.sources.losses import of_nuls, of_whole
from components.data.sources.records import Record, bounded_lines, json_values
from components.data.sources.source import Blob, Reading, Reject
from components.data.sources.streams import as_utf8, head, nuls_at_end
from components.data.sources.texts import what_else

_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20
_NEXT_OBJECT = re.compile(r"\}\s*,?\s*(?=\{)")


def read_json_lines(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each line."""
    yield from _read_json(reading, blob, bounded_lines)


def read_json(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the documents of an array of objects, of one object, or of one after another."""
    yield from _read_json(reading, blob, json_values)


def _read_json(
    reading: Reading, blob: Blob, cut: Callable[[BinaryIO, int], Iterator[Record]]
) -> Iterator[Document | Reject]:
    with blob.open() as found:
        problem = what_else(head(found))
        if problem.startswith("it is"):
            yield of_whole(blob, reject(reading, blob, "binary", problem, head(found)))
            return
        stream, numbers = as_utf8(found, reading.source.encoding), count(1)
        number = 0
        for record in cut(stream, reading.source.max_record_bytes):
            number = next(numbers)
            if not record.is_whole:
                yield too_long(reading, blob, record.content, number)
            elif record.content.strip():
                document = _json_document(reading, blob, record.content, number)
                yield document
                if isinstance(document, Reject) and document.reason == "not JSON":
                    for row in _swallowed(record.content):
                        number = next(numbers)
                        yield document_of_row(reading, blob, row, number)
        if nuls := nuls_at_end(stream):
            yield of_nuls(reading, blob, nuls, number)


def _swallowed(content: bytes) -> Iterator[dict[str, object]]:
    """Yield the whole objects that follow one that a quote or bracket too few makes no JSON of."""
    text = content.decode("utf-8", "surrogateescape")
    decoder, place = json.JSONDecoder(), 0
    for found in _NEXT_OBJECT.finditer(text):
        if found.end() < place:
            continue  # inside one that was taken
        try:
            row, place = decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            continue
        yield row


def _json_document(reading: Reading, blob: Blob, content: bytes, number: int) -> Document | Reject:
    try:
        row: object = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} of it is not UTF-8: name its --encoding, such as latin-1"
        return reject(reading, blob, "not UTF-8", detail, content, number)
    except (ValueError, RecursionError) as error:
        is_cut = "Unterminated" in str(error) and not content.endswith(b"\n")
        detail = f"{error}{'; it may be cut off here' if is_cut else ''}"
        return reject(reading, blob, "not JSON", detail, content, number)
    if not isinstance(row, dict):
        return reject(reading, blob, "not JSON", "not an object", content, number)
    return document_of_row(reading, blob, cast("dict[str, object]", row), number)


def read_parquet(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield the document of each row, reading no column that is neither text nor an integer."""
    import pyarrow.parquet as parquet  # here, since it takes a second and most runs need none

    with blob.open() as stream:
        opened: Any = parquet.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        schema: Any = opened.schema_arrow
        wanted = text_columns(reading, dict.fromkeys(schema.names))
        columns = _columns(schema, wanted)
        if reading.source.kind != "documents":
            columns += [name for name in schema.names if name in {*COLUMNS} - {*columns}]
        total = max(1, opened.metadata.num_rows)
        is_text = reading.source.kind == "documents"
        if missing := [name for name in wanted if is_text and name not in columns]:
            there = ", ".join(f"{field.name} ({field.type})" for field in schema)
            detail = f"no column {missing[0]!r} of text among these: {there or 'none'}"
            whole = reject(reading, blob, "no text column", detail)
            yield replace(whole, count=total)
            return
        number = 0
        try:
            for batch in opened.iter_batches(_BATCH_ROWS, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield document_of_row(reading, blob, row, number)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) is not None:
                raise  # the source is gone
            damaged = reject(reading, blob, "unreadable", f"{type(error).__name__}: {error}")
            yield replace(damaged, count=max(1, total - number))


def _columns(schema: Any, wanted: Sequence[str]) -> list[str]:
    """Return the columns of text or integers; where text is wanted, of bytes and chats too."""
    import pyarrow as pa

    def fits(name: str, kind: Any) -> bool:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
        if any(test(kind) for test in (*tests, pa.types.is_integer)):
            return True
        of_bytes = pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view
        is_chat = _is_list(kind) and pa.types.is_struct(kind.value_type)
        return name in wanted and (is_chat or any(test(kind) for test in of_bytes))

    return [field.name for field in schema if fits(field.name, field.type)]


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    tests = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(test(kind) for test in tests)
