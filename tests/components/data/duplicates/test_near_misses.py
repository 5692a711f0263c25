"""What is planted as a near miss: another name is one that capitals tell."""

import random

import pytest

from components.data.duplicates.compared import Compared
from components.data.duplicates.judge import are_apart
from components.data.duplicates.near_misses import FORM, near_misses

OTHER_NAME = "a passage, other name"
TITLES = (
    "News From The Access All Network. Disability Law Handbook is a guide to the Act. "
    "Call Now And Save. Board Meeting In June. Access All for recommending Powell for the job. "
    "More Headlines From Our Own Reporters And All Of Their Friends In Town Every Day."
)
PROSE = (
    "We wrote to the Occupational Therapy board, which occupational therapists know, about the "
    "plan that Powell had made for the year to come and for all who were to work on it by then."
)


def other_names(passage: str) -> set[str]:
    """The words that are left out of a passage for another name, over many draws."""
    lost = set[str]()
    for seed in range(60):
        changed = dict(near_misses([passage], 1, random.Random(seed)))[
            f"{FORM}a passage, other name"
        ]
        lost |= set(passage.split()) - set(changed.split())
    return lost


def test_in_titles_a_name_stands_between_words_without_a_capital():
    assert other_names(TITLES) == {"Powell"}


def test_a_word_that_also_stands_without_a_capital_is_no_name():
    assert other_names(PROSE) == {"Therapy", "Powell"}


@pytest.mark.parametrize("old, is_other", [("Powell", True), ("Handbook", False)])
def test_among_capitals_a_name_is_told_by_the_words_beside_it(old, is_other):
    one = TITLES + " And Then The Whole Town Went Home Again To Sleep." * 6
    assert are_apart(Compared(one), Compared(one.replace(old, "Ghana", 1))) is is_other
