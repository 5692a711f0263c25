import pytest

from flows.command.running import change
from flows.recipes import RECIPES, Recipe, recipe, smoke


def test_a_change_reaches_the_field_it_names_and_no_other() -> None:
    changed = change(smoke(), ["pretrain.training.num_steps=7", "dpo.loss_type=ipo"])
    assert changed.pretrain.training.num_steps == 7
    assert changed.dpo.loss_type == "ipo"
    back = ["pretrain.training.num_steps=20", "dpo.loss_type=sigmoid"]
    assert change(changed, back) == smoke()


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("dpo.betta=1", "dpo has no field 'betta'. It has: loss_type, beta"),
        ("nowhere.beta=1", "the recipe has no field 'nowhere'"),
        ("dpo.beta.more=1", "dpo.beta has no field 'more'"),
        ("dpo.beta=0", "dpo.beta: Input should be greater than 0, not 0"),
        ("dpo.loss_type=best", "dpo.loss_type: Input should be 'sigmoid', 'ipo' or 'hinge'"),
        ("dpo.beta", "has no `=`"),
    ],
)
def test_a_wrong_change_names_the_field_and_the_remedy(assignment: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        change(smoke(), [assignment])
    assert says in str(refused.value)


def test_every_recipe_survives_the_json_that_prefect_stores() -> None:
    for name in RECIPES:
        assert Recipe.model_validate_json(recipe(name).model_dump_json()) == recipe(name)


def test_an_unknown_recipe_is_an_error_that_lists_them() -> None:
    with pytest.raises(ValueError, match=r"No recipe 'huge'\. There are: tiny, small, smoke"):
        recipe("huge")
