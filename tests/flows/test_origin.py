"""Which recipe a run follows, in words, however its parameters say it."""

import pytest

from flows.origin import recipe_of
from flows.recipes import smoke


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
        ({"recipe": smoke()}, "custom"),
    ],
)
def test_a_recipe_is_said_by_its_name_with_what_was_changed(parameters, said):
    assert recipe_of(parameters) == said
