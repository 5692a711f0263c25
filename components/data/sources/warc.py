"""WARC: the pages of a crawl, and the texts of a WET file."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from components.data.document import Document
from components.data.sources.documents import too_long
from components.data.sources.source import Blob, Reading, Reject
from components.data.sources.texts import page

_FORMATS = {"text/html": "html", "application/xhtml+xml": "html", "text/markdown": "markdown"}
_CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)


def read_warc(reading: Reading, blob: Blob) -> Iterator[Document | Reject]:
    """Yield a document for each page with status 200, resource or converted text.

    Source: ISO 28500. Pictures, requests, redirects and the like are no records of ours and not
    counted. Rows are numbered from 1 over all records of the file.
    """
    from warcio.archiveiterator import ArchiveIterator

    limit = reading.source.max_record_bytes
    with blob.open() as stream:
        for number, record in enumerate(ArchiveIterator(stream), start=1):
            content_type = _content_type(record)
            kind = content_type.partition(";")[0].strip().lower()
            if not _is_page(record, kind):
                continue
            content = record.content_stream().read(limit + 1)
            found = replace(blob, metadata=blob.metadata | _metadata(record, kind))
            if len(content) > limit:
                yield too_long(reading, found, content, number)
            else:
                charset = _CHARSET.search(content_type)
                yield page(reading, found, content, charset[1] if charset else "", number)


def _content_type(record: Any) -> str:
    headers = record.http_headers or record.rec_headers
    return headers.get_header("Content-Type") or ""


def _is_page(record: Any, kind: str) -> bool:
    if record.rec_type == "response":
        status = record.http_headers.get_statuscode() if record.http_headers else ""
        return status == "200" and (kind in _FORMATS or kind == "text/plain")
    return record.rec_type in ("resource", "conversion") and (
        kind in _FORMATS or kind == "text/plain"
    )


def _metadata(record: Any, kind: str) -> dict[str, str | int]:
    known: dict[str, str | int] = {"content_type": kind}
    for key, header in (("url", "WARC-Target-URI"), ("date", "WARC-Date")):
        if value := record.rec_headers.get_header(header):
            known[key] = value
    return known | ({"format": _FORMATS[kind]} if kind in _FORMATS else {})
