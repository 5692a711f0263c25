"""Pairs: all that have a key in common and stand near each other, and none that come later."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.duplicates.index import DuplicateIndex
from components.data.duplicates.minhash import Matching, sketch
from components.data.duplicates.pairs import contained_pairs, near_pairs, neighbours, told_apart


def paired(keys, window):
    found = neighbours(np.array(keys, np.uint64), np.arange(len(keys)), window)
    return {pair for one, other in found for pair in zip(one.tolist(), other.tolist(), strict=True)}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 5))
def test_a_row_is_paired_with_the_first_and_the_last_ones_of_its_key(keys, window):
    expected = set()
    for row, key in enumerate(keys):
        before = [other for other in range(row) if keys[other] == key]
        expected |= {(other, row) for other in before[:1] + before[-window:]}
    assert paired(keys, window) == expected


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 40))
def test_pairs_do_not_depend_on_rows_that_come_later(keys, count):
    early = {pair for pair in paired(keys, 3) if pair[1] < count}
    assert early == paired(keys[:count], 3)


@pytest.fixture
def index(tmp_path):
    """Of 0 to 9: ten texts; 10 to 19: these with a twentieth of other words; 20 to 29: inside."""
    rng = random.Random(4)
    texts = [[str(rng.randrange(10**6)) for _ in range(400)] for _ in range(10)]
    changed = [[word if n % 20 else f"{word}x" for n, word in enumerate(text)] for text in texts]
    parts = [text[100:250] for text in texts]
    made = DuplicateIndex(tmp_path / "index", Matching())
    everything = [" ".join(text) for text in [*texts, *changed, *parts]]
    made.add(sketch(everything, Matching()), [str(n) for n in range(30)])
    return DuplicateIndex(tmp_path / "index", Matching())


def test_near_and_contained_pairs_are_the_planted_ones(index, tmp_path):
    near = near_pairs(index, 0, Matching(), tmp_path)
    assert near.tolist() == [[n, n + 10] for n in range(10)]
    contained = contained_pairs(index, 0, Matching())
    assert contained.tolist() == [[n + 20, n] for n in range(10)]
    assert [rows.tolist() for rows in told_apart(index, near, contained, Matching())] == [
        near.tolist(),
        contained.tolist(),
    ]


def test_pairs_of_known_rows_are_left_out(index, tmp_path):
    assert near_pairs(index, 15, Matching(), tmp_path)[:, 1].tolist() == [15, 16, 17, 18, 19]
    assert contained_pairs(index, 25, Matching())[:, 0].tolist() == [25, 26, 27, 28, 29]


def test_a_near_duplicate_that_only_adds_words_holds_the_other(tmp_path):
    words = [f"w{n}" for n in range(40)]  # of too few samples to be looked for inside others
    index = DuplicateIndex(tmp_path / "index", Matching(min_samples=50))
    texts = [" ".join(words), " ".join(words + [f"x{n}" for n in range(15)])]
    index.add(sketch(texts, Matching()), ["short", "long"])
    near = near_pairs(index, 0, Matching(), tmp_path)
    assert near.tolist() == [[0, 1]]
    nothing = np.empty((0, 2), np.int64)
    apart = told_apart(index, near, nothing, Matching())
    assert [rows.tolist() for rows in apart] == [[], [[0, 1]]]
