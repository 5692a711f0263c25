"""Stretches of single documents, and how one is drawn from another document."""

import numpy as np
import pytest

from components.lib.examples.document_windows import DocumentWindows

END = 0


def write(folder, *shards):
    """Write shards from lists of documents; each number of a document is its own."""
    for number, documents in enumerate(shards):
        stream = [token for document in documents for token in (*document, END)]
        np.save(folder / f"shard_{number:05}.npy", np.array(stream, np.uint16))
    return folder


def document(first, length):
    return list(range(first, first + length))


def test_every_stretch_is_of_one_document_and_none_is_twice(tmp_path):
    folder = write(
        tmp_path,
        [document(100, 65), document(200, 20), document(300, 5)],
        [document(400, 40), document(500, 16)],
    )
    windows = DocumentWindows(folder, 20, END)
    found = [windows.text(index).tolist() for index in range(len(windows))]
    expected = [document(100, 20), document(120, 20), document(140, 20), document(200, 20)]
    assert found == [*expected, document(400, 20), document(420, 20), document(500, 16)]


def test_the_last_document_of_a_shard_may_have_no_end(tmp_path):
    np.save(tmp_path / "shard_00000.npy", np.array(document(100, 30), np.uint16))
    np.save(tmp_path / "shard_00001.npy", np.array(document(200, 30), np.uint16))
    windows = DocumentWindows(tmp_path, 30, END)
    assert [windows.text(i)[0] for i in range(len(windows))] == [100, 200]


def test_elsewhere_is_every_stretch_of_the_other_documents_equally_often(tmp_path):
    folder = write(tmp_path, [document(100, 60), document(200, 40), document(300, 20)])
    windows = DocumentWindows(folder, 20, END)  # 3 + 2 + 1
    own = {0: {0, 1, 2}, 1: {0, 1, 2}, 2: {0, 1, 2}, 3: {3, 4}, 4: {3, 4}, 5: {5}}
    for index in range(6):
        words = np.arange(60, dtype=np.uint64)
        drawn = windows.elsewhere(np.full(60, index), words)
        found, counts = np.unique(drawn, return_counts=True)
        assert set(found) == set(range(6)) - own[index]
        assert set(counts) == {60 // len(found)}


def test_fewer_than_two_documents_are_an_error_with_the_remedy(tmp_path):
    folder = write(tmp_path, [document(100, 60), document(200, 15)])
    with pytest.raises(ValueError, match=r"has 1 documents of at least 16.*bloomery data add"):
        DocumentWindows(folder, 20, END)
