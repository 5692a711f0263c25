"""Statistics: counted by hand where documents are few, and close to numpy where they are many."""

import re
from itertools import islice

import numpy as np
import pytest

from components.data.document import Document, write_documents
from components.data.pieces import cut
from components.data.reports.statistics import measure
from components.data.repository import library, speeches


def _measured(tmp_path, documents, piece_bytes=1 << 20):
    write_documents(tmp_path / "documents.jsonl", documents)
    return measure(cut([tmp_path / "documents.jsonl"], piece_bytes), tmp_path)


def test_a_few_documents_are_counted_as_a_person_would(tmp_path):
    web = {"url": "https://example.org/a?b", "language": "en", "license": "CC0-1.0"}
    found = _measured(
        tmp_path,
        [
            Document(id="web/1", text="The cat. The cat sat!", metadata=web),
            Document(id="web/2", text="the cat", metadata=web | {"url": "https://example.org/c"}),
            Document(id="book", text="", metadata={}),
        ],
    )
    assert found.by_source["web"].model_dump() == {
        "documents": 2,
        "bytes": 28,
        "words": 7,
        "licences": {"CC0-1.0": 2},
    }
    assert found.by_source["book"].licences == {"not stated": 1}
    assert found.languages == {"en": 2, "not identified": 1}
    assert found.domains == {"example.org": 2}
    assert found.words == {"0-0": 1, "2-3": 1, "4-7": 1}
    assert found.ngrams["1"] == {"cat": 3, "the": 3, "sat": 1}
    assert found.ngrams["3"]["the cat the"] == 1


def test_percentiles_are_near_those_of_all_lengths(tmp_path):
    documents = [*islice(speeches.documents(), 150), *library.documents()]
    found = _measured(tmp_path, documents)
    lengths = [len(re.findall(r"\w+", document.text)) for document in documents]
    for share in (0.1, 0.5, 0.9):
        true = np.quantile(lengths, share)
        assert found.percentile(share) == pytest.approx(true, rel=0.25)  # within its bin


def test_what_is_counted_does_not_depend_on_the_pieces(tmp_path):
    documents = list(islice(speeches.documents(), 10))
    whole, cut_up = (_measured(tmp_path, documents, size) for size in (1 << 30, 1000))
    for name in ("by_source", "languages", "domains", "words"):
        assert getattr(whole, name) == getattr(cut_up, name)
