"""Files in every format: what comes out of them, where it says it is from, and in which order."""

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.document import Document
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source, holds_credentials, without_credentials

SENTENCE = "I am happy to be among you. \u00c0 bient\u00f4t."
ROWS = [{"text": f"{SENTENCE} {number}", "year": 1790 + number} for number in range(3)]


def read_all(path, **how):
    return list(read(Reading(Source(location=str(path), **how), "mine", path.parent / "state")))


def documents(path, **how):
    return [found for found in read_all(path, **how) if isinstance(found, Document)]


def reasons(path, **how):
    rejects = [found for found in read_all(path, **how) if not isinstance(found, Document)]
    return dict(sum((Counter({r.reason: r.count}) for r in rejects), Counter()))


def as_lines(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows) -> bytes:
    lines = ["year,text"] + [f'{row["year"]},"{row["text"]}"' for row in rows]
    return "\n".join(lines).encode()


def as_parquet(rows) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


FORMATS = {
    "jsonl": as_lines,
    "json": lambda rows: json.dumps(rows, indent=1).encode(),
    "csv": as_csv,
    "parquet": as_parquet,
}
COMPRESSIONS = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


def test_a_folder_is_read_in_order_through_all_its_folders(tmp_path):
    top = tmp_path / "letters"
    (top / "b").mkdir(parents=True)
    (top / "b" / "one.txt").write_bytes(SENTENCE.encode() + b"\r\n")
    row = {"text": SENTENCE, "year": 1790, "by": "GW", "ok": True, "x": [1], "source": "theirs"}
    (top / "a.jsonl").write_text(json.dumps(row) + "\n\n")
    (top / "c.parquet").write_bytes(as_parquet([{"text": "first", "n": 1}]))
    a = {"source": "letters/a.jsonl", "row": 1}
    assert read_all(top) == [
        Document(
            id="mine/a.jsonl#1",
            text=SENTENCE,
            metadata=a | {"year": 1790, "by": "GW", "original_source": "theirs"},
        ),
        Document(
            id="mine/b/one.txt", text=SENTENCE + "\r\n", metadata={"source": "letters/b/one.txt"}
        ),
        Document(
            id="mine/c.parquet#1",
            text="first",
            metadata={"source": "letters/c.parquet", "row": 1, "n": 1},
        ),
    ]
    assert read_all(top / "a.jsonl")[0].id == "mine/a.jsonl#1"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_documents_however_compressed(tmp_path, kind, compression):
    file = tmp_path / f"a.{kind}{compression}"
    file.write_bytes(COMPRESSIONS[compression](FORMATS[kind](ROWS)))
    found = documents(file)
    assert [(d.text, d.metadata["year"]) for d in found] == [(r["text"], r["year"]) for r in ROWS]
    assert [d.id for d in found] == [f"mine/{file.name}#{n}" for n in (1, 2, 3)]


def test_files_in_archives_are_read_as_if_they_lay_in_folders_and_tell_their_member(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/a.parquet", as_parquet(ROWS))
        archive.writestr("b.txt", SENTENCE)
    for name, mode in (
        ("x.tar", "w"),
        ("x.tar.gz", "w:gz"),
        ("x.tgz", "w:gz"),
        ("x.tar.bz2", "w:bz2"),
    ):
        file = tmp_path / name
        with tarfile.open(file, mode) as archive:
            for member, content in (
                ("c.jsonl.gz", gzip.compress(as_lines(ROWS))),
                ("n.zip", inner.getvalue()),
            ):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        found = documents(file)
        assert [d.text for d in found] == [r["text"] for r in ROWS] * 2 + [SENTENCE]
        assert found[0].metadata == {
            "source": name,
            "row": 1,
            "member": "c.jsonl.gz",
            "year": 1790,
        }
        assert found[-1].id == f"mine/{name}/n.zip/b.txt"
    assert not (tmp_path / "state").exists() or not list((tmp_path / "state").iterdir())


def test_pages_keep_their_markup_and_say_that_they_do(tmp_path):
    page = "<html><head><meta charset='windows-1252'></head><p>caf\u00e9</p>"
    (tmp_path / "a.html").write_bytes(page.encode("cp1252"))
    (tmp_path / "b.md").write_text("# Title")
    (tmp_path / "c.txt").write_text("words")
    found = documents(tmp_path)
    assert [d.text for d in found] == [page, "# Title", "words"]
    assert [d.metadata.get("format") for d in found] == ["html", "markdown", None]


def test_a_text_file_can_be_a_document_a_paragraph_or_a_line(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n\n \nthree\r\n")
    lines = documents(tmp_path / "a.txt", unit="line")
    assert [(d.text, d.metadata["row"]) for d in lines] == [("one", 1), ("two", 2), ("three", 5)]
    parts = documents(tmp_path / "a.txt", unit="paragraph")
    assert [(d.text, d.id) for d in parts] == [
        ("one\ntwo", "mine/a.txt#1"),
        ("three", "mine/a.txt#2"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding_and_is_no_part_of_the_text(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes(SENTENCE.encode(encoding))
    (tmp_path / "b.jsonl").write_bytes('{"text": "word"}\n{"text": "two"}'.encode(encoding))
    (tmp_path / "c.csv").write_bytes("text\nthree".encode(encoding))
    assert [d.text for d in documents(tmp_path)] == [SENTENCE, "word", "two", "three"]


def test_an_encoding_is_a_choice_that_must_exist(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    assert reasons(tmp_path / "a.txt") == {"not UTF-8": 1}
    assert [d.text for d in documents(tmp_path, encoding="latin-1")] == ["caf\u00e9"]
    with pytest.raises(ValueError, match="no such encoding"):
        Source(location="x", encoding="utf-9")


def test_several_columns_make_one_text_and_are_no_metadata(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines([{"q": "Why?", "a": "So.", "n": 1}]))
    [found] = documents(tmp_path / "a.jsonl", text_column="q,a")
    assert found.text == "Why?\nSo."
    assert found.metadata == {"source": "a.jsonl", "row": 1, "n": 1}


def test_a_licence_is_noted_where_the_record_has_none_of_its_own(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines([{"text": "x"}, {"text": "y", "license": "MIT"}]))
    found = documents(tmp_path / "a.jsonl", license="CC-BY-4.0")
    assert [d.metadata["license"] for d in found] == ["CC-BY-4.0", "MIT"]


def test_json_values_are_found_whatever_lies_in_their_strings_and_wherever_blocks_end(tmp_path):
    awkward = 'a "quoted" \\ }{ ][ , ' * 4000  # longer than a block: escapes straddle its end
    rows = [{"text": f"{'x' * shift}{awkward}"} for shift in range(5)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert [d.text for d in documents(tmp_path / "a.json")] == [row["text"] for row in rows]
    (tmp_path / "a.json").write_text("".join(json.dumps(row) for row in rows))
    assert [d.text for d in documents(tmp_path / "a.json")] == [row["text"] for row in rows]
    (tmp_path / "a.json").write_text(json.dumps(rows[0], indent=2))
    assert [d.text for d in documents(tmp_path / "a.json")] == [rows[0]["text"]]


def test_nothing_secret_is_left_in_a_place():
    url = "https://me:pw@host.org/a%20b.txt?id=5&X-Amz-Signature=abc&access_token=t#frag"
    assert without_credentials(url) == "https://host.org/a%20b.txt?id=5"
    assert without_credentials("postgresql://me:pw@host/db") == "postgresql://host/db"
    assert without_credentials("/home/me/a b?c.txt") == "/home/me/a b?c.txt"
    assert holds_credentials(url)
    assert holds_credentials("postgresql://me:pw@host/db")
    assert not holds_credentials("postgresql://me:${BLOOMERY_SECRET_DB}@host/db")
    assert not holds_credentials("sqlite:////tmp/a.db")
    assert not holds_credentials("https://host.org/a%20b.txt?id=5#frag")
