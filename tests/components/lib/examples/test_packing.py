"""Best-fit packing: no token lost or repeated, no bin too full, and no fewer than there must be."""

import json
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.repository import library, speeches
from components.lib.examples.documents import DOCUMENT_STARTS, Documents
from components.lib.examples.packing import Pieces, best_fit, packing_report
from components.lib.examples.windows import Windows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


def starts_of(lengths) -> np.ndarray:
    return np.cumsum([0, *lengths])


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    """Words of the pages of documentation and of the paragraphs of some addresses."""
    pages = [len(page.text.split()) for page in library.documents()]
    paragraphs = [
        len(paragraph.split())
        for speech in islice(speeches.documents(), 20)
        for paragraph in speech.text.split("\n\n")
    ]
    return np.array([length for length in [*pages, *paragraphs] if length])


def one_by_one(lengths, capacity, choose) -> list[int]:
    """Return the room left in each bin after placing piece by piece where `choose` says."""
    rooms = np.full(len(lengths), capacity)
    for length in lengths:
        rooms[choose(np.where(rooms >= length, rooms, np.inf))] -= length
    return sorted(rooms[rooms < capacity].tolist())


def first(rooms) -> int:
    return int(np.argmax(np.isfinite(rooms)))


@settings(deadline=None, max_examples=150)
@given(lengths=LENGTHS, capacity=st.integers(1, 30))
def test_every_token_of_every_document_is_in_exactly_one_place(lengths, capacity):
    starts = starts_of(lengths)
    pieces = Pieces.packed(starts, capacity)
    held = [np.arange(s, s + n) for s, n in zip(pieces.starts, pieces.lengths, strict=True)]
    assert sorted(np.concatenate(held).tolist()) == list(range(sum(lengths)))
    for tokens in held:  # of one document
        assert len(np.unique(np.searchsorted(starts, tokens, side="right"))) == 1
    fill = np.add.reduceat(pieces.lengths, pieces.firsts[:-1])
    assert pieces.firsts[-1] == len(pieces.starts)
    assert fill.min() >= 1
    assert fill.max() <= capacity


@settings(deadline=None, max_examples=100)
@given(lengths=LENGTHS, capacity=st.integers(1, 30))
def test_only_what_is_longer_than_a_sequence_is_cut_and_into_full_ones(lengths, capacity):
    starts = starts_of(lengths)
    pieces = Pieces.packed(starts, capacity)
    document = np.searchsorted(starts, pieces.starts, side="right") - 1
    for number, length in enumerate(lengths):
        found = sorted(pieces.lengths[document == number].tolist(), reverse=True)
        rest = [length % capacity] if length % capacity else []
        assert found == [capacity] * (length // capacity) + rest


@settings(deadline=None, max_examples=150)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=80), slack=st.integers(0, 20))
def test_groups_placed_at_once_are_best_fit_decreasing_piece_by_piece(lengths, slack):
    capacity = max(lengths) + slack
    bins = best_fit(np.array(lengths), capacity)
    found = capacity - np.bincount(bins, weights=lengths)
    expected = one_by_one(sorted(lengths, reverse=True), capacity, np.argmin)
    assert sorted(found.astype(int).tolist()) == expected


@pytest.mark.parametrize("length", [64, 128, 512, 2048])
def test_on_real_lengths_it_is_as_full_as_first_fit_or_fuller(real, length):
    pieces = Pieces.packed(starts_of(real), length)
    lengths = pieces.lengths[np.argsort(pieces.starts)]  # cut alike, in the order of the stream
    by_first_fit = len(one_by_one(lengths.tolist(), length, first))
    found = len(pieces.firsts) - 1
    assert found <= by_first_fit
    assert real.sum() / (found * length) > 0.99


def test_the_order_within_a_sequence_is_that_of_the_stream_and_all_is_repeatable(real):
    one, other = Pieces.packed(starts_of(real), 256), Pieces.packed(starts_of(real), 256)
    for left, right in zip(one, other, strict=True):
        assert np.array_equal(left, right)
    rows = np.split(one.starts, one.firsts[1:-1])
    assert all((np.diff(row) > 0).all() for row in rows)
    assert max(map(len, rows)) > 3


def test_a_document_of_one_token_more_than_a_sequence_is_a_full_one_and_a_rest():
    pieces = Pieces.packed(np.array([0, 9, 11]), 8)
    assert pieces.starts.tolist() == [0, 8, 9]
    assert pieces.lengths.tolist() == [8, 1, 2]
    assert pieces.firsts.tolist() == [0, 1, 3]


@pytest.mark.parametrize("length", [8, 50, 333])
def test_the_report_counts_what_a_look_at_every_sequence_finds(shards, length):
    folder = shards.path / "train"
    documents, windows = Documents(folder), Windows(folder, length)
    report = packing_report(folder, length)
    stream, packed = report.ways
    sizes = np.diff(documents.starts)
    held = [windows.parts_of(documents, number) for number in range(len(documents))]
    is_cut = np.array(
        [
            not any(part.end - part.start == size for part in parts)
            for parts, size in zip(held, sizes, strict=True)
        ]
    )
    assert (report.documents, report.tokens) == (len(sizes), sizes.sum())
    assert (stream.sequences, stream.utilisation) == (len(windows), 1.0)
    assert stream.cut == pytest.approx(is_cut.mean())
    assert stream.cut_needlessly == pytest.approx(
        is_cut[sizes <= length + 1].mean() if (sizes <= length + 1).any() else 0
    )
    covered = {
        int(documents.starts[part.document]) + token
        for parts in held
        for part in parts
        for token in range(part.start, part.end)
    }
    assert stream.tokens_lost == report.tokens - len(covered)
    assert (packed.tokens_lost, packed.cut_needlessly) == (0, 0.0)
    assert packed.cut == pytest.approx((sizes > length + 1).mean())
    assert packed.cut <= stream.cut
    assert packed.utilisation == pytest.approx(sizes.sum() / (packed.sequences * length))


def test_short_documents_are_cut_by_windows_and_never_by_packing(tmp_path):
    lengths = np.random.default_rng(0).integers(2, 60, 500)
    np.save(tmp_path / "shard_00000.npy", np.zeros(lengths.sum(), np.uint16))
    np.save(tmp_path / DOCUMENT_STARTS, starts_of(lengths))
    stream, packed = packing_report(tmp_path, 64).ways
    assert stream.cut == stream.cut_needlessly > 0.4
    assert packed.cut == packed.cut_needlessly == packed.tokens_lost == 0
    assert packed.utilisation > 0.94, "pairs of up to 59 of 64"


def test_a_split_shorter_than_a_window_is_reported_as_best_fit_alone(tmp_path):
    np.save(tmp_path / "shard_00000.npy", np.zeros(10, np.uint16))
    np.save(tmp_path / DOCUMENT_STARTS, [0, 4, 10])
    report = packing_report(tmp_path, 64)
    assert [(way.packing, way.sequences) for way in report.ways] == [("best_fit", 1)]
    assert report.ways[0].utilisation == 10 / 64
    assert json.loads(report.model_dump_json())["tokens"] == 10
