"""Answers that agree, and ones that go round in circles."""

import pytest

from components.lib.inference.agreement import agreement, overlap, repeats_itself


def test_answers_of_one_word_agree_by_the_share_that_says_the_same():
    assert agreement(["7", "7", "8", "7."]) == pytest.approx([(1 + 0 + 2 / 3) / 3] * 2 + [0, 4 / 9])
    assert agreement(["alone"]) == [1.0]
    assert agreement([]) == []


def test_words_are_shared_as_often_as_both_texts_have_them():
    assert overlap("the cat the hat", "The cat sat") == pytest.approx(2 * 2 / 7)
    assert overlap("", "") == 1.0
    assert overlap("", "a") == 0.0


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        ("I see it and " * 4, True),
        ("I see it and " * 3, False),
        ("ha ha ha ha", False),
        ("ha " * 12, True),
        ("It began well. " + "and so on, " * 6 + "the end.", True),
        ("one two three four five six seven eight nine ten eleven twelve thirteen", False),
    ],
)
def test_a_stretch_said_four_times_in_a_row_is_a_loop(text, is_loop):
    assert repeats_itself(text) == is_loop
