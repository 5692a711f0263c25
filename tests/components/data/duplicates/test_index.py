"""The index: rows as they were added, and no other one taken for it."""

import numpy as np
import pytest

from components.data.duplicates.index import DuplicateIndex, copy_index
from components.data.duplicates.minhash import Matching, sketch

TEXTS = ["one two three four", "", "fünf sechs " * 30, "seven eight nine"]


def test_rows_added_in_parts_are_read_as_they_were_added(tmp_path):
    matching = Matching(sample_one_in=1, passage_ngram_size=2)
    index = DuplicateIndex(tmp_path / "index", matching)
    index.add(sketch(TEXTS[:1], matching), ["a"])
    index.add(sketch(TEXTS[1:], matching), ["b", "ü/3", ""])
    index = DuplicateIndex(tmp_path / "index", matching)
    assert len(index) == 4
    assert [index.id_of(row) for row in range(4)] == ["a", "b", "ü/3", ""]
    expected = sketch(TEXTS, matching)
    for name in ("digests", "num_bytes", "num_words", "signatures", "samples"):
        assert np.array_equal(getattr(index, name), getattr(expected, name)), name
    assert [len(index.samples_of(row)) for row in range(4)] == expected.num_samples.tolist()


def test_an_index_of_no_rows_can_be_read(tmp_path):
    index = DuplicateIndex(tmp_path / "index", Matching())
    assert len(index) == len(index.digests) == len(index.kept_as) == 0
    assert index.signatures.shape == (0, 128)


def test_a_copy_grows_and_leaves_the_known_one_as_it_was(tmp_path):
    known = DuplicateIndex(tmp_path / "known", Matching())
    known.add(sketch(TEXTS[:2], Matching()), ["a", "b"])
    copy_index(known.folder, tmp_path / "copy", Matching())
    DuplicateIndex(tmp_path / "copy", Matching()).add(sketch(TEXTS[2:], Matching()), ["c", "d"])
    assert len(DuplicateIndex(tmp_path / "known", Matching())) == 2
    assert len(DuplicateIndex(tmp_path / "copy", Matching())) == 4


@pytest.mark.parametrize("field", ["seed", "threshold", "num_bands", "min_samples"])
def test_an_index_made_with_another_setting_is_not_taken(tmp_path, field):
    known = DuplicateIndex(tmp_path / "known", Matching())
    other = {"seed": 1, "threshold": 0.7, "num_bands": 16, "min_samples": 9}[field]
    with pytest.raises(ValueError, match=f"{field} .*, not {other}"):
        copy_index(known.folder, tmp_path / "copy", Matching(**{field: other}))
