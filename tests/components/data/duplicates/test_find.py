"""Decisions: in order, each against those that were kept before it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.duplicates.find import decide, firsts_of
from components.data.duplicates.judge import Judge

NONE = np.empty((0, 2), np.int64)


def decided(near, contained, num_rows, before=()):
    pairs = [np.array(rows, np.int64).reshape(-1, 2) for rows in (near, contained)]
    judge, likeness = Judge(lambda row: "the same"), np.ones(len(pairs[0]))
    kept_as, reasons = decide(*pairs, np.array(before, np.int64), num_rows, judge, likeness)
    return kept_as.tolist(), reasons


def test_a_near_duplicate_of_one_left_out_is_kept_unless_it_is_one_of_the_first_too():
    assert decided([(0, 1), (1, 2)], [], 3) == ([0, 0, 2], {1: "near duplicate"})
    kept_as, _ = decided([(0, 1), (1, 2), (0, 2)], [], 3)
    assert kept_as == [0, 0, 0]


def test_a_later_longer_document_stands_for_those_it_holds_and_for_their_duplicates():
    kept_as, reasons = decided([(0, 1)], [(0, 2)], 3)
    assert kept_as == [2, 2, 2]
    assert reasons == {1: "near duplicate", 0: "contained"}


def test_a_longer_document_that_is_left_out_itself_stands_for_none():
    assert decided([(0, 2)], [(1, 2)], 3) == ([0, 1, 0], {2: "near duplicate"})


def test_what_says_other_things_is_kept_however_alike_its_words_are():
    texts = ["x < 12 holds here", "x > 12 holds here", "x <  12 holds here"]
    near = np.array([(0, 1), (0, 2), (1, 2)], np.int64)
    judge = Judge(texts.__getitem__)
    kept_as, reasons = decide(near, NONE, np.empty(0, np.int64), 3, judge, np.ones(3))
    assert (kept_as.tolist(), reasons) == ([0, 1, 0], {2: "near duplicate"})
    assert judge.told_apart == [(1, 0)]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.booleans()), max_size=30),
    st.integers(0, 12),
)
def test_deciding_in_two_parts_is_deciding_at_once(pairs, first_new):
    near = sorted({(min(a, b), max(a, b)) for a, b, inside in pairs if a != b and not inside})
    contained = sorted({(a, b) for a, b, inside in pairs if a < b and inside})
    contained += sorted(
        {(a, b) for a, b, inside in pairs if a > b and inside} - {p[::-1] for p in contained}
    )

    def part(pairs, low, high):
        return [pair for pair in pairs if low <= max(pair) < high]

    whole, _ = decided(near, contained, 12)
    before, _ = decided(part(near, 0, first_new), part(contained, 0, first_new), first_new)
    after, reasons = decided(part(near, first_new, 12), part(contained, first_new, 12), 12, before)
    assert after == whole
    assert all(after[row] != row for row in reasons)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_the_first_of_equal_digests_is_found(rows):
    firsts = firsts_of(np.array(rows, np.uint64).reshape(-1, 2))
    assert firsts.tolist() == [rows.index(row) for row in rows]
