"""A user's files: what comes out of them, and what is said of those that cannot be read."""

import json
import logging
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.document import Document, read_documents, write_documents
from components.data.readers import read_user_documents

SENTENCE = "I am happy to be among you. \u00c0 bient\u00f4t."


def read(path, name="mine"):
    return list(read_user_documents(path, name))


def test_a_folder_is_read_in_order_through_all_its_folders(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt").write_bytes(SENTENCE.encode() + b"\r\n")
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": SENTENCE, "year": 1790, "by": "GW", "ok": True, "x": [1]}) + "\n\n"
    )
    pq.write_table(pa.table({"text": ["first", "second"], "n": [1, 2]}), tmp_path / "c.parquet")
    assert read(tmp_path) == [
        Document(id="mine/a.jsonl#1", text=SENTENCE, metadata={"year": 1790, "by": "GW"}),
        Document(id="mine/b/one.txt", text=SENTENCE + "\r\n", metadata={}),
        Document(id="mine/c.parquet#1", text="first", metadata={"n": 1}),
        Document(id="mine/c.parquet#2", text="second", metadata={"n": 2}),
    ]
    assert read(tmp_path / "a.jsonl")[0].id == "mine/a.jsonl#1"


def test_files_of_other_kinds_are_counted_and_named_not_dropped_in_silence(tmp_path, caplog):
    (tmp_path / "one.txt").write_text(SENTENCE)
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path)) == 1
    assert "1 files of other kinds not read: ['notes.pdf']" in caplog.text


def test_blank_texts_are_left_out_and_counted(tmp_path, caplog):
    (tmp_path / "a.jsonl").write_text('{"text": " "}\n{"text": "word"}\n')
    with caplog.at_level(logging.INFO):
        assert [document.id for document in read(tmp_path)] == ["mine/a.jsonl#2"]
    assert "1 blank ones left out" in caplog.text


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_text(SENTENCE, encoding="utf-8-sig")
    (tmp_path / "b.jsonl").write_text('{"text": "word"}', encoding="utf-8-sig")
    assert [document.text for document in read(tmp_path)] == [SENTENCE, "word"]


DEEP = "[" * (sys.getrecursionlimit() * 50)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"a\.txt is empty"),
        ("a.txt", b" \n\t", r"only blank text \(1 documents\)"),
        ("a.txt", b"caf\xe9", r"a\.txt is not UTF-8 at byte 3"),
        ("a.txt", b"PAR1...PAR1", r"a\.txt is a Parquet file, whatever its name says"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xe9"}', r"a\.jsonl is not UTF-8 at byte 24"),
        ("a.jsonl", b'{"text": "x"}\n{"text": ', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", DEEP.encode(), r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", b'\n["x"]', r"line 2: a JSON object with a \"text\" is needed"),
        ("a.jsonl", b'{"b": "x", "a": 1}', r'line 1: no column "text" among these: a, b'),
        ("a.jsonl", b'{"text": 5}', r'line 1: "text" is int, not text'),
        ("a.jsonl", b'{"text": "\\ud800"}', r"line 1: UTF-8 cannot hold it"),
        ("a.jsonl", b"\n\n", r"only blank text \(0 documents\)"),
        ("a.parquet", b"text\nword\n", r"a\.parquet is no Parquet file"),
        ("a.parquet", b"PAR1 cut off", r"a\.parquet is Parquet that cannot be read"),
        ("a.pdf", b"%PDF", r"no \.txt, \.jsonl or \.parquet file, 1 other files: a\.pdf"),
    ],
)
def test_an_unreadable_file_is_refused_with_its_place_and_the_remedy(
    tmp_path, name, content, message
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name)


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"0 other files: it is empty"):
        read(tmp_path)


def test_a_parquet_file_without_text_or_rows_is_refused(tmp_path):
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r'row 1: no column "text" among these: body'):
        read(tmp_path)
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet has no rows"):
        read(tmp_path)
    pq.write_table(pa.table({"text": ["x", None]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r'row 2: "text" is NoneType'):
        read(tmp_path)


def test_a_damaged_page_inside_a_parquet_file_is_an_error_that_names_the_file(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a" * 100, "b"] * 1000}), file)
    content = bytearray(file.read_bytes())
    content[4:64] = bytes(255 - byte for byte in content[4:64])
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet is Parquet that cannot be read"):
        read(tmp_path)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(texts, st.dictionaries(texts, texts | st.integers()))))
def test_any_documents_come_back_from_the_file_they_were_written_to(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    documents = [
        Document(id=f"mine/{number}", text=text, metadata=metadata)
        for number, (text, metadata) in enumerate(rows)
    ]
    assert write_documents(file, documents) == len(documents)
    assert list(read_documents(file)) == documents


def test_an_interrupted_write_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    file = tmp_path / "documents.jsonl"
    write_documents(file, [Document(id="a", text="old")])

    def broken():
        yield Document(id="b", text="new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_documents(file, broken())
    assert [document.text for document in read_documents(file)] == ["old"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_damaged_line_of_documents_is_an_error_with_its_number(tmp_path):
    file = tmp_path / "documents.jsonl"
    file.write_text('{"id": "a", "text": "x", "metadata": {}}\n{"id": "a"}\n')
    with pytest.raises(ValueError, match=r"documents\.jsonl, line 2: not a document"):
        list(read_documents(file))
