"""Splits: where a document lands depends on its text alone."""

import hashlib
from itertools import islice

import pytest

from components.core.artifacts.data import DocumentShards
from components.data.document import Document, read_documents, write_documents
from components.data.repository import speeches
from components.data.split import SPLITS, Split

WIDE = Split(validation_percent=40, test_percent=30)


def _shards(folder, documents: list[Document]) -> DocumentShards:
    write_documents(folder / "kept" / "00000.jsonl", documents)
    return DocumentShards(path=folder, num_documents=len(documents), num_bytes=0, dropped={})


def _splits(folder) -> dict[str, list[Document]]:
    return {split: list(read_documents(folder / f"{split}.jsonl")) for split in SPLITS}


def _paragraphs(number: int) -> list[Document]:
    """Return real paragraphs, each other."""
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


def test_every_document_lands_in_one_split_and_is_counted(out, tmp_path):
    paragraphs = _paragraphs(60)
    corpus = WIDE.run(_shards(tmp_path / "in", paragraphs), out)
    splits = _splits(out)
    kept = [document for documents in splits.values() for document in documents]
    assert sorted(d.id for d in kept) == sorted(d.id for d in paragraphs)
    assert corpus.num_documents == {split: len(splits[split]) for split in SPLITS}
    assert corpus.num_bytes == {
        split: sum(len(d.text.encode()) for d in splits[split]) for split in SPLITS
    }


def test_a_document_keeps_its_split_when_others_come_and_go(out, tmp_path):
    paragraphs = _paragraphs(120)
    WIDE.run(_shards(tmp_path / "few", paragraphs[:60]), out)
    before = {d.id: split for split, documents in _splits(out).items() for d in documents}
    WIDE.run(_shards(tmp_path / "many", [*paragraphs[90:], *paragraphs[:60][::-1]]), out)
    after = {d.id: split for split, documents in _splits(out).items() for d in documents}
    assert {name: after[name] for name in before} == before
    assert len(after) == 90


def test_more_held_out_text_takes_from_training_and_moves_nothing_else():
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(256)]
    small = Split(validation_percent=5, test_percent=10)
    large = Split(validation_percent=15, test_percent=10)
    moved = {(small.split_of(d), large.split_of(d)) for d in digests}
    assert moved == {
        ("test", "test"),
        ("validation", "validation"),
        ("train", "validation"),
        ("train", "train"),
    }


def test_the_shares_of_the_splits_are_those_that_were_asked():
    splits = [
        Split(validation_percent=5, test_percent=20).split_of(hashlib.sha256(b"%d" % n).digest())
        for n in range(20_000)
    ]
    # three standard deviations are at most 0.85 %
    assert splits.count("test") / 20_000 == pytest.approx(0.20, abs=0.01)
    assert splits.count("validation") / 20_000 == pytest.approx(0.05, abs=0.01)


def test_an_empty_split_is_an_error_with_the_counts_and_the_remedy(out, tmp_path):
    with pytest.raises(ValueError, match=r"No document is left for .* of 1\. Add documents"):
        WIDE.run(_shards(tmp_path / "in", _paragraphs(1)), out)


def test_a_second_attempt_overwrites_what_the_first_one_left(out, tmp_path):
    shards = _shards(tmp_path / "in", _paragraphs(60))
    first = WIDE.run(shards, out)
    files = {file.name: file.read_bytes() for file in out.iterdir()}
    assert WIDE.run(shards, out) == first
    assert {file.name: file.read_bytes() for file in out.iterdir()} == files
