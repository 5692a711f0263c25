"""The document index: from a token to its document and back, windows and shards between them."""

import json

import numpy as np
import pytest

from components.data.document import read_documents
from components.lib.examples.documents import DOCUMENT_IDS, DOCUMENT_STARTS, Documents
from components.lib.examples.shards import Sequences


@pytest.fixture
def folder(tmp_path):
    """Five documents of 3, 7, 1, 9 and 4 tokens, in shards of 10: token p is p."""
    lengths = [3, 7, 1, 9, 4]
    for index, shard in enumerate(np.split(np.arange(24, dtype=np.uint16), [10, 20])):
        np.save(tmp_path / f"shard_{index:05d}.npy", shard)
    np.save(tmp_path / DOCUMENT_STARTS, np.cumsum([0, *lengths]))
    names = ["a/1", "a/2", "b/1", "b/2", "b/3"]
    (tmp_path / DOCUMENT_IDS).write_text("".join(json.dumps(name) + "\n" for name in names))
    return tmp_path


def test_a_window_names_every_document_of_its_inputs_and_targets(folder):
    documents, sequences = Documents(folder), Sequences(folder, 4)
    parts = [documents.in_window(sequences, window) for window in range(len(sequences))]
    # windows 0-4, 4-8 | 10-14, 14-18 | none in the last shard of 4
    assert parts == [
        [(0, 0, 0, 3), (1, 0, 0, 2)],
        [(1, 1, 1, 6)],
        [(2, 2, 0, 1), (3, 2, 0, 4)],
        [(3, 3, 3, 8)],
    ]


def test_a_document_names_the_windows_that_hold_it_and_what_they_hold(folder):
    documents, sequences = Documents(folder), Sequences(folder, 4)
    assert documents.parts(sequences, 1) == [(1, 0, 0, 2), (1, 1, 1, 6)]
    assert documents.parts(sequences, 2) == [(2, 2, 0, 1)]
    assert documents.parts(sequences, 4) == [], "the rest of a shard is in no window"


@pytest.mark.parametrize("length", [8, 64, 333])
def test_both_ways_agree_on_real_documents_cut_into_shards(corpus, shards, length):
    folder = shards.path / "train"
    documents, sequences = Documents(folder), Sequences(folder, length)
    by_window = [p for w in range(len(sequences)) for p in documents.in_window(sequences, w)]
    by_document = [p for d in range(len(documents)) for p in documents.parts(sequences, d)]
    assert sorted(by_window) == sorted(by_document)
    stream = np.concatenate([np.load(file) for file in sorted(folder.glob("shard_*.npy"))])
    for document, window, start, end in by_window:
        tokens = stream[documents.starts[document] :][start:end]
        row = sequences.windows(np.array([window]))[0]
        assert " ".join(map(str, tokens)) in " ".join(map(str, row))
        assert 0 <= start < end <= documents.length(document)
    held = sum(end - start for _, _, start, end in by_window)
    assert held == len(sequences) * (length + 1), "a token of a window is of no document, or of two"


def test_documents_are_found_by_their_id(corpus, shards):
    documents = Documents(shards.path / "train")
    names = [document.id for document in read_documents(corpus.path / "train.jsonl")]
    assert len(documents) == len(names)
    assert documents.ids([3, 0, 3]) == [names[3], names[0], names[3]]
    assert documents.find(names[5]) == [5]
    assert documents.find("no/such") == []


def test_an_id_that_two_sources_share_is_both_documents(folder):
    (folder / DOCUMENT_IDS).write_text('"x"\n"y"\n"x"\n"z"\n"z"\n')
    assert Documents(folder).find("x") == [0, 2]


def test_ids_that_look_alike_are_offered(folder):
    documents = Documents(folder)
    assert documents.similar("B/") == ["b/1", "b/2", "b/3"]
    assert documents.similar("a/11")[:1] == ["a/1"]
    assert documents.similar("quite another thing") == []


def test_shards_of_an_older_version_are_an_error_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"document_starts\.npy.*1\.1\.0.*Run the flow again"):
        Documents(tmp_path)
