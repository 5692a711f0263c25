"""Crawls as warcio writes them."""

import io

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from components.data.document import Document
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source


def write_crawl(file, pages, *, compressed=True):
    with file.open("wb") as stream:
        writer = WARCWriter(stream, gzip=compressed)
        for kind, status, content_type, body in pages:
            http = None
            headers = {"WARC-Date": "2026-01-02T03:04:05Z"}
            if kind == "response":
                http = StatusAndHeaders(
                    status, [("Content-Type", content_type)], protocol="HTTP/1.0"
                )
            record = writer.create_warc_record(
                "https://example.org/a",
                kind,
                payload=io.BytesIO(body),
                http_headers=http,
                warc_content_type="" if http else content_type,
                warc_headers_dict=headers,
            )
            writer.write_record(record)


def read_all(file, **how):
    return list(read(Reading(Source(location=str(file), **how), "mine", file.parent)))


def test_pages_are_taken_and_pictures_errors_and_requests_are_not(tmp_path):
    file = tmp_path / "a.warc.gz"
    write_crawl(
        file,
        [
            ("response", "200 OK", "text/html; charset=latin-1", b"<p>caf\xe9</p>"),
            ("response", "404 Not Found", "text/html", b"<p>gone</p>"),
            ("response", "200 OK", "image/png", b"\x89PNG"),
            ("conversion", "", "text/plain", b"extracted"),
        ],
    )
    page, text = read_all(file)
    assert page == Document(
        id="mine/a.warc.gz#1",
        text="<p>caf\u00e9</p>",
        metadata={
            "source": "a.warc.gz",
            "row": 1,
            "url": "https://example.org/a",
            "date": "2026-01-02T03:04:05Z",
            "content_type": "text/html",
            "format": "html",
        },
    )
    assert text.text == "extracted"
    assert "format" not in text.metadata


def test_a_page_above_the_limit_and_a_cut_crawl_cost_only_what_they_are(tmp_path):
    file = tmp_path / "a.warc"
    pages = [("response", "200 OK", "text/html", b"<p>x</p>" * n) for n in (1, 1000, 1, 1)]
    write_crawl(file, pages, compressed=False)
    found = read_all(file, max_record_bytes=100)
    assert [getattr(each, "reason", "good") for each in found] == [
        "good",
        "too long",
        "good",
        "good",
    ]
    write_crawl(tmp_path / "b.warc.gz", pages)
    whole = (tmp_path / "b.warc.gz").read_bytes()
    (tmp_path / "b.warc.gz").write_bytes(whole[:-200])
    found = read_all(tmp_path / "b.warc.gz", max_record_bytes=100)
    assert [getattr(each, "reason", "good") for each in found][-1] == "truncated"
