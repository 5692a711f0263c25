"""Deduplication: one of each, the first, and every other one with its reason."""

import json

from components.core.artifacts import DocumentShards
from components.data.deduplicate import Deduplicate
from components.data.document import Document, write_documents
from components.data.pieces import documents_of


def test_the_first_of_equal_documents_stays_and_the_others_are_kept_as_rejects(tmp_path):
    texts = {"a": "one", "b": "two", "c": "one", "d": "three", "e": "two"}
    documents = [Document(id=name, text=text) for name, text in texts.items()]
    write_documents(tmp_path / "in" / "kept" / "00000.jsonl", documents[:2])
    write_documents(tmp_path / "in" / "kept" / "00001.jsonl", documents[2:])
    shards = DocumentShards(path=tmp_path / "in", num_documents=5, num_bytes=0, dropped={})
    (tmp_path / "out").mkdir()
    distinct = Deduplicate().run(shards, tmp_path / "out")
    assert [document.id for document in documents_of(distinct)] == ["a", "b", "d"]
    assert distinct.num_documents == 3
    assert distinct.num_bytes == len("onetwothree")
    assert distinct.dropped == {"duplicate": 2}
    files = sorted((tmp_path / "out" / "rejects").glob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [(row["id"], row["reason"], row["text"]) for row in rows] == [
        ("c", "duplicate", "one"),
        ("e", "duplicate", "two"),
    ]
