"""Token shards as windows: no token is skipped, repeated, or read across a border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.lib.examples.shards import Sequences, Stream


def _write(folder, *shards):
    for index, shard in enumerate(shards):
        np.save(folder / f"shard_{index:05d}.npy", np.array(shard, np.uint16))
    return folder


def test_windows_follow_each_other_and_share_the_token_between_input_and_target(tmp_path):
    sequences = Sequences(_write(tmp_path, range(13)), length=4)
    assert len(sequences) == 3
    windows = sequences.windows(np.arange(3))
    assert windows.tolist() == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9, 10, 11, 12]]
    assert windows.dtype == np.int64
    targets = windows[:, 1:].ravel().tolist()
    assert targets == list(range(1, 13)), "a target is skipped or repeated"


def test_a_window_needs_one_token_more_than_its_length(tmp_path):
    assert len(Sequences(_write(tmp_path, range(12)), length=4)) == 2


def test_windows_do_not_cross_shards_and_shards_too_short_are_passed_over(tmp_path):
    shards = [], range(5), range(100, 103), range(200, 209), range(300, 304), range(400, 405)
    sequences = Sequences(_write(tmp_path, *shards), length=4)
    windows = sequences.windows(np.arange(len(sequences)))
    assert windows[:, 0].tolist() == [0, 200, 204, 400]
    assert (np.diff(windows, axis=1) == 1).all()


def test_windows_come_in_the_order_they_are_asked_for(tmp_path):
    sequences = Sequences(_write(tmp_path, range(9), range(100, 109)), length=4)
    asked = np.array([3, 0, 3, 1])
    assert sequences.windows(asked)[:, 0].tolist() == [104, 0, 104, 4]
    assert sequences.windows(np.array([], np.int64)).shape == (0, 5)


def test_shards_are_read_in_the_order_of_their_numbers_and_nothing_else_is_read(tmp_path):
    _write(tmp_path, range(5), range(10, 15))
    np.save(tmp_path / "byte_lengths.npy", np.arange(99))
    assert Sequences(tmp_path, 4).windows(np.arange(2))[:, 0].tolist() == [0, 10]


def test_ids_above_32767_keep_their_sign(tmp_path):
    sequences = Sequences(_write(tmp_path, [65_535, 40_000, 1]), length=2)
    assert sequences.windows(np.array([0])).tolist() == [[65_535, 40_000, 1]]


def test_an_even_choice_reaches_from_the_first_window_to_the_last_without_repeats(tmp_path):
    sequences = Sequences(_write(tmp_path, range(401)), length=4)
    firsts = sequences.spread(5)[:, 0] // 4
    assert firsts.tolist() == [0, 24, 49, 74, 99]
    assert len(sequences.spread(1000)) == 100


def test_too_little_text_is_an_error_with_the_numbers_and_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"7 tokens, fewer than one sequence of 9.*`bloomery data"):
        Sequences(_write(tmp_path, range(4), range(3)), length=8)
    with pytest.raises(ValueError, match="0 tokens"):
        Sequences(tmp_path / "nothing", length=8)


@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6), length=st.integers(2, 12))
def test_a_window_lies_where_it_says_and_a_token_in_the_windows_that_are_named(
    tmp_path_factory, lengths, length
):
    stream = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    folder = _write(tmp_path_factory.mktemp("shards"), *stream)
    if max(lengths) <= length:
        return
    sequences = Sequences(folder, length)
    held = [row.tolist() for row in sequences.windows(np.arange(len(sequences)))]
    positions = sequences.positions(np.arange(len(sequences))).tolist()
    assert positions == [row[0] for row in held]
    starts, ends = np.triu_indices(sum(lengths) + 1, k=1)
    for start, end, first, behind in zip(
        starts, ends, *sequences.holding(starts, ends), strict=True
    ):
        expected = [n for n, row in enumerate(held) if row[-1] >= start and row[0] < end]
        assert list(range(first, behind)) == expected, (start, end)


def test_the_stream_is_read_across_shards(tmp_path):
    stream = Stream(_write(tmp_path, range(4), [], range(4, 5), range(5, 12)))
    assert len(stream) == 12
    for start in range(13):
        for end in range(start, 13):
            assert stream.read(start, end).tolist() == list(range(start, end))
    assert stream.read(2, 8).dtype == np.int64


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 20), min_size=1, max_size=5), length=st.integers(2, 12))
def test_a_stretch_is_held_where_one_window_has_all_of_it(tmp_path_factory, lengths, length):
    stream = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    folder = _write(tmp_path_factory.mktemp("shards"), *stream)
    if max(lengths) <= length:
        return
    sequences = Sequences(folder, length)
    rows = [set(row.tolist()) for row in sequences.windows(np.arange(len(sequences)))]
    starts, ends = np.triu_indices(sum(lengths) + 1, k=1)
    for start, end, held in zip(starts, ends, sequences.holds(starts, ends), strict=True):
        assert held == any(set(range(start, end)) <= row for row in rows), (start, end)
    assert sequences.num_held() == len(set().union(*rows))
