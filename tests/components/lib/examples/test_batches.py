"""Batches: which of their positions hold tokens, and how they are cut."""

import numpy as np

from components.lib.examples.batches import IGNORED, POSITIONS, Batch


def test_what_is_behind_the_last_target_of_an_example_is_padding():
    targets = np.array([[IGNORED, 5, IGNORED, 6, IGNORED], [7, IGNORED, IGNORED, IGNORED, IGNORED]])
    batch = Batch(np.full((2, 5), 3), targets)
    expected = [[True, True, True, True, False], [True, False, False, False, False]]
    assert batch.holds_tokens().tolist() == expected
    assert batch.num_tokens() == batch.holds_tokens().sum() == 5
    assert batch.trimmed().holds_tokens().shape == (2, 4)
    empty = Batch(np.full((1, 5), 3), np.full((1, 5), IGNORED))
    assert not empty.holds_tokens().any()


def test_rows_are_cut_with_all_that_belongs_to_them():
    batch = Batch(np.arange(6).reshape(3, 2), np.arange(6).reshape(3, 2), {"label": np.arange(3)})
    rows = batch.rows(slice(1, 3))
    assert len(rows) == 2
    assert rows.extras["label"].tolist() == [1, 2]
    assert rows.inputs.tolist() == [[2, 3], [4, 5]]


def test_examples_that_name_their_lengths_are_not_trimmed():
    targets = np.array([[5, 6, IGNORED, IGNORED]])
    batch = Batch(np.full((1, 4), 3), targets, {"place": np.arange(4)[None]}, np.array([3]))
    trimmed = batch.trimmed()
    assert trimmed.inputs.shape == trimmed.extras["place"].shape == (1, 4)
    assert (trimmed.num_tokens(), trimmed.num_targets()) == (3, 2)


def test_they_can_be_made_as_narrow_as_the_longest():
    targets = np.array([[5, IGNORED, IGNORED, IGNORED], [6, 7, IGNORED, IGNORED]])
    extras = {POSITIONS: np.arange(4)[None].repeat(2, 0), "kept": np.arange(8).reshape(2, 4)}
    narrow = Batch(np.full((2, 4), 3), targets, extras, np.array([2, 3])).narrow()
    assert narrow.inputs.shape == narrow.targets.shape == (2, 3)
    assert narrow.extras[POSITIONS].tolist() == [[0, 1, 2]] * 2
    assert narrow.extras["kept"].shape == (2, 4)
    assert (narrow.num_tokens(), narrow.num_targets()) == (5, 3)
