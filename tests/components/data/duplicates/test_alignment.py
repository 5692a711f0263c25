"""Differences: what is between them is the same, and they are small for small edits."""

from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.duplicates.alignment import differences

WORDS = [f"w{n}" for n in range(900)]


def test_a_small_edit_is_found_where_it_is():
    other = [*WORDS[:400], "x", *WORDS[401:]]
    assert [tuple(gap) for gap in differences(WORDS, other)] == [(400, 401, 400, 401)]
    without = WORDS[:300] + WORDS[302:]
    assert [tuple(gap) for gap in differences(WORDS, without)] == [(300, 302, 300, 300)]
    assert differences(WORDS, WORDS) == []


def test_a_text_inside_a_longer_one_differs_by_what_is_around_it():
    around = [f"v{n}" for n in range(500)]
    found = differences(WORDS, [*around, *WORDS, *around])
    assert [tuple(gap) for gap in found] == [(0, 0, 0, 500), (900, 900, 1400, 1900)]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 6), max_size=60), st.lists(st.integers(0, 6), max_size=60))
def test_all_but_the_differences_is_the_same_in_both(one, other):
    one, other = [str(n) for n in one], [str(n) for n in other]
    i = j = 0
    for gap in [*differences(one, other), (len(one), len(one), len(other), len(other))]:
        assert one[i : gap[0]] == other[j : gap[2]]
        i, j = gap[1], gap[3]
    assert (i, j) == (len(one), len(other))
