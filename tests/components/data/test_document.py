"""The file of documents: what is written comes back, and it is never half there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.document import (
    Document,
    document_files,
    read_documents,
    write_documents,
    write_shards,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)  # each example syncs a file
@given(st.lists(st.tuples(texts, st.dictionaries(texts, texts | st.integers()))))
def test_any_documents_come_back_from_the_file_they_were_written_to(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    documents = [
        Document(id=f"mine/{number}", text=text, metadata=metadata)
        for number, (text, metadata) in enumerate(rows)
    ]
    assert write_documents(file, documents) == len(documents)
    assert list(read_documents(file)) == documents


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6])
def test_documents_lie_in_as_few_files_as_hold_them(tmp_path, count):
    documents = [Document(id=f"mine/{number}", text="x" * 10) for number in range(count)]
    write_shards(tmp_path, documents, shard_bytes=15)
    files = document_files(tmp_path)
    names = ["documents.jsonl", "documents-00001.jsonl", "documents-00002.jsonl"]
    assert [file.name for file in files] == names[: max(1, -(-count // 2))]
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert [document for file in files for document in read_documents(file)] == documents


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
