"""Which recipe a run follows, in words, however its parameters say it."""

import pytest

from flows.origin import recipe_of
from flows.recipes import smoke, tiny


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, ""),
        ({"name": "letters", "source": "x"}, ""),
        ({"recipe": "smoke"}, "smoke"),
        ({"recipe": "smoke", "set": {"pretrain.depth": 3}}, "smoke, pretrain.depth=3"),
        ({"recipe": "tiny", "set": ["align=null", "a.b=1"]}, "tiny, align=null, a.b=1"),
        ({"recipe": {"name": "small", "align": None}}, "small"),
        ({"recipe": {"align": None}}, "custom"),
    ],
)
def test_a_recipe_is_said_by_its_name_with_what_was_changed(parameters, said):
    assert recipe_of(parameters) == said


def test_a_recipe_in_full_is_called_after_the_one_that_it_equals():
    assert recipe_of({"recipe": tiny()}) == "tiny"
    assert recipe_of({"recipe": smoke()}) == "smoke"
    assert recipe_of({"recipe": smoke().model_copy(update={"align": None})}) == "custom"
