"""Cleaning: what is dropped is counted, and a document's split depends on its text alone."""

import hashlib
import json
import unicodedata
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.core.artifacts import RawData
from components.data import speeches
from components.data.clean import SPLITS, Clean, normalise
from components.data.document import Document, read_documents, write_documents

LENIENT = Clean(min_characters=20, validation_percent=40, test_percent=30)


def _raw(folder, **sources: list[Document]) -> RawData:
    for name, documents in sources.items():
        write_documents(folder / name / "documents.jsonl", documents)
    return RawData(path=folder, revision="1.dir", sources=tuple(sorted(sources)))


def _splits(folder) -> dict[str, list[Document]]:
    return {split: list(read_documents(folder / f"{split}.jsonl")) for split in SPLITS}


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


def test_every_document_lands_in_one_split_or_among_the_dropped(out, tmp_path):
    paragraphs = _paragraphs(60)
    bad = [
        Document(id="empty", text=" \n\x00\t "),
        Document(id="short", text="Too short."),
        Document(id="again", text=paragraphs[0].text),
        Document(id="again-in-disguise", text=f"  {paragraphs[1].text}\r\n"),
        Document(id="short-again", text="Too short."),
    ]
    corpus = LENIENT.run(
        _raw(tmp_path / "raw", one=paragraphs[:30], two=paragraphs[30:] + bad), out
    )
    splits = _splits(out)
    kept = [document for documents in splits.values() for document in documents]
    assert sorted(d.id for d in kept) == sorted(d.id for d in paragraphs)
    assert corpus.num_documents == {split: len(splits[split]) for split in SPLITS}
    assert corpus.num_bytes == {
        split: sum(len(d.text.encode()) for d in splits[split]) for split in SPLITS
    }
    assert corpus.dropped == {"duplicate": 2, "empty": 1, "short": 2}
    lines = [json.loads(line) for line in (out / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert {line["id"]: line["metadata"]["reason"] for line in lines} == {
        "empty": "empty",
        "short": "short",
        "again": "duplicate",
        "again-in-disguise": "duplicate",
        "short-again": "short",
    }


def test_a_document_keeps_its_split_when_others_come_and_go(out, tmp_path):
    paragraphs = _paragraphs(120)
    few, many = paragraphs[:60], [*paragraphs[90:], *paragraphs[:60][::-1]]
    LENIENT.run(_raw(tmp_path / "few", a=few), out)
    before = {d.id: split for split, documents in _splits(out).items() for d in documents}
    LENIENT.run(_raw(tmp_path / "many", a=many[:20], b=many[20:]), out)
    after = {d.id: split for split, documents in _splits(out).items() for d in documents}
    assert {name: after[name] for name in before} == before
    assert len(after) == 90


def test_more_held_out_text_takes_from_training_and_moves_nothing_else():
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(256)]
    small = Clean(validation_percent=5, test_percent=10)
    large = Clean(validation_percent=15, test_percent=10)
    moved = {(small.split_of(d), large.split_of(d)) for d in digests}
    assert moved == {
        ("test", "test"),
        ("validation", "validation"),
        ("train", "validation"),
        ("train", "train"),
    }


def test_the_shares_of_the_splits_are_those_that_were_asked():
    splits = [
        Clean(validation_percent=5, test_percent=20).split_of(hashlib.sha256(b"%d" % n).digest())
        for n in range(20_000)
    ]
    # three standard deviations are at most 0.85 %
    assert splits.count("test") / 20_000 == pytest.approx(0.20, abs=0.01)
    assert splits.count("validation") / 20_000 == pytest.approx(0.05, abs=0.01)


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


def test_an_empty_split_is_an_error_with_the_counts_and_the_remedy(out, tmp_path):
    (paragraph,) = _paragraphs(1)
    raw = _raw(tmp_path / "raw", a=[paragraph, Document(id="short", text="x")])
    with pytest.raises(ValueError, match=r"No document is left for .*'short': 1.*min_characters"):
        LENIENT.run(raw, out)


def test_a_second_attempt_overwrites_what_the_first_one_left(out, tmp_path):
    raw = _raw(tmp_path / "raw", a=_paragraphs(60))
    first = LENIENT.run(raw, out)
    files = {file.name: file.read_bytes() for file in out.iterdir()}
    assert LENIENT.run(raw, out) == first
    assert {file.name: file.read_bytes() for file in out.iterdir()} == files
