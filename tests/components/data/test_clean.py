"""Cleaning: what is dropped keeps its text and its reason."""

import json
import unicodedata
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.core.artifacts import RawData
from components.data import speeches
from components.data.clean import Clean
from components.data.document import Document, write_documents
from components.data.encoding import normalise
from components.data.pieces import documents_of

LENIENT = Clean(min_characters=20)


def _raw(folder, **sources: list[Document]) -> RawData:
    for name, documents in sources.items():
        write_documents(folder / name / "documents.jsonl", documents)
    return RawData(path=folder, revision="1.dir", sources=tuple(sorted(sources)))


def _paragraphs(number: int) -> list[Document]:
    """Return real paragraphs of at least 20 characters, each other."""
    found: dict[str, Document] = {}
    for speech in islice(speeches.documents(), 20):
        for place, text in enumerate(speech.text.split("\n\n")):
            if len(text) > 60:
                found.setdefault(text, Document(id=f"{speech.id}/{place}", text=text))
    return list(found.values())[:number]


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_document_is_kept_or_among_the_rejects_with_the_reason(out, tmp_path):
    paragraphs = _paragraphs(60)
    bad = [Document(id="empty", text=" \n\x00\t "), Document(id="short", text="Too short.")]
    raw = _raw(tmp_path / "raw", one=paragraphs[:30], two=paragraphs[30:] + bad)
    shards = LENIENT.run(raw, out)
    assert [d.id for d in documents_of(shards)] == [d.id for d in paragraphs]
    assert shards.dropped == {"empty": 1, "short": 1}
    (file,) = [f for f in (out / "rejects").glob("*.jsonl") if f.stat().st_size]
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {row["id"]: row["reason"] for row in rows} == {"empty": "empty", "short": "short"}


def test_text_is_in_composed_form_with_plain_line_ends():
    assert normalise("Cafe\u0301\r\nand\rtea\x07\x00 \t") == "Café\nand\ntea"
    assert normalise("tab\tand\nnew line\u2028stay") == "tab\tand\nnew line\u2028stay"


@given(text=st.text())
@example("e\x00\u0301")  # a control character that kept two others apart
@example("\r\r\n\n\r")
def test_normal_text_stays_as_it_is(text):
    normal = normalise(text)
    assert normalise(normal) == normal
    assert unicodedata.is_normalized("NFC", normal)
    assert "\r" not in normal
    assert normal == normal.strip()


def test_a_second_attempt_overwrites_what_the_first_one_left(out, tmp_path):
    raw = _raw(tmp_path / "raw", a=_paragraphs(60))
    first = LENIENT.run(raw, out)
    files = {file: file.read_bytes() for file in out.rglob("*.jsonl")}
    assert LENIENT.run(raw, out) == first
    assert {file: file.read_bytes() for file in out.rglob("*.jsonl")} == files
