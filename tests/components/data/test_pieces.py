"""Pieces: whole documents, each once, whoever works on them."""

import json

import pytest

from components.core.settings import settings
from components.data.document import Document, write_documents
from components.data.pieces import Sieve, cut, documents_of, gathered, kept_files, work_through

DOCUMENTS = [Document(id=f"d{n}", text="x\u2028y é" * (n * 7 % 40)) for n in range(50)]


@pytest.fixture
def files(tmp_path):
    chosen = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    write_documents(chosen[0], DOCUMENTS[:30])
    write_documents(chosen[1], DOCUMENTS[30:])
    return chosen


@pytest.mark.parametrize("size", [1, 100, 1000, 1 << 20])
def test_every_document_is_in_one_piece_in_its_order(files, size):
    pieces = cut(files, size)
    assert [d for piece in pieces for d in piece.documents()] == DOCUMENTS
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    assert max(piece.end - piece.start for piece in pieces) <= size + 1000


def test_an_empty_file_has_no_piece(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    assert cut([tmp_path / "empty.jsonl"]) == []


def keep_the_even(piece, out, payload):
    with Sieve(piece, out) as sieve:
        for document in piece.documents():
            number = int(document.id[1:])
            sieve.counts["seen"] += 1
            if number == payload.get("bad"):
                raise ValueError(f"{document.id} is bad")
            if number % 2:
                sieve.drop(document, "odd")
            else:
                sieve.keep(document)
    return sieve.answer()


WORK = "tests.components.data.test_pieces:keep_the_even"


def test_what_a_step_keeps_and_drops_is_written_and_counted(files, tmp_path):
    out = tmp_path / "out"
    shards = gathered(out, work_through(WORK, cut(files, 1000), out, {}))
    assert list(documents_of(shards)) == DOCUMENTS[::2]
    assert (shards.num_documents, shards.dropped, shards.counts) == (25, {"odd": 25}, {"seen": 50})
    assert shards.num_bytes == sum(len(d.text.encode()) for d in DOCUMENTS[::2])
    rejects = sorted((out / "rejects").glob("*.jsonl"))
    rows = [json.loads(line) for file in rejects for line in file.open(encoding="utf-8")]
    assert [row.pop("reason") for row in rows] == ["odd"] * 25
    assert [Document.model_validate(row) for row in rows] == DOCUMENTS[1::2]


def test_an_error_leaves_no_file_that_looks_whole(files, tmp_path):
    with pytest.raises(ValueError, match="d3 is bad"):
        work_through(WORK, cut(files), tmp_path / "out", {"bad": 3})
    assert not list((tmp_path / "out").rglob("0*.jsonl"))


@pytest.mark.ray
@pytest.mark.slow
def test_through_ray_it_is_the_same_and_so_is_an_error(files, tmp_path, monkeypatch):
    alone = work_through(WORK, cut(files, 300), tmp_path / "alone", {})
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    monkeypatch.setattr("components.data.pieces.PIECE_BYTES", 300)
    settings.cache_clear()
    ray = work_through(WORK, cut(files, 300), tmp_path / "ray", {})
    assert ray == alone
    for file in kept_files(gathered(tmp_path / "alone", alone)):
        assert (tmp_path / "ray" / "kept" / file.name).read_bytes() == file.read_bytes()
    with pytest.raises(ValueError, match="d3 is bad"):
        work_through(WORK, cut(files, 300), tmp_path / "bad", {"bad": 3})
