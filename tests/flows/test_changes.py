"""Changes: a short path reaches the field it means, and a wrong one is told with the remedy."""

import pytest

from flows.changes import changed
from flows.pretrain import ExistingModel, FromScratch
from flows.recipes import RECIPES, Recipe, recipe, smoke


def test_a_change_reaches_the_field_it_names_and_no_other() -> None:
    made = changed(smoke(), ["pretrain.num_steps=7", "align.loss_type=ipo"])
    assert isinstance(made.pretrain, FromScratch)
    assert made.pretrain.train.training.num_steps == 7
    assert made.align is not None
    assert made.align.dpo.loss_type == "ipo"
    back = ["pretrain.num_steps=20", "align.loss_type=sigmoid"]
    assert changed(made, back) == smoke()


@pytest.mark.parametrize(
    "path", ["beta", "dpo.beta", "align.beta", "align.dpo.beta"], ids=lambda path: path
)
def test_what_is_clear_may_be_left_out_of_a_path(path: str) -> None:
    made = changed(smoke(), [f"{path}=0.5"])
    assert made.align is not None
    assert made.align.dpo.beta == 0.5


def test_every_field_of_every_recipe_is_reached_by_its_whole_path() -> None:
    def leaves(value: object, path: str) -> list[tuple[str, object]]:
        if not isinstance(value, dict) or not value:
            return [(path, value)]
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{path}.{key}")]

    import json

    for name in RECIPES:
        values = recipe(name).model_dump(mode="json")
        for path, value in leaves(values, ""):
            assert changed(recipe(name), [f"{path[1:]}={json.dumps(value)}"]) == recipe(name)


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("align.betta=1", "align has no field 'betta'. Did you mean 'beta'?"),
        ("nowhere.beta=1", "the recipe has no field 'nowhere'. It has: corpus, tokens, pretrain"),
        ("align.beta.more=1", "align.dpo.beta is a value and has no field 'more'"),
        ("align.beta=0", "align.dpo.beta: Input should be greater than 0, not 0"),
        ("align.beta=strong", "align.dpo.beta: Input should be a valid number"),
        (
            "align.loss_type=best",
            "dpo.loss_type: Input should be 'sigmoid', 'ipo', 'hinge', ",
        ),
        (
            "max_accuracy_loss=1",
            "'max_accuracy_loss' may be each of pretrain.budget.max_accuracy_loss, ",
        ),
        ("align.beta", "has no `=`"),
        ("align=7", "align: Input should be"),
        ("pretrain.depth=-1", "pretrain.train.depth: Input should be greater than or equal to 1"),
        ("pretrain.num_heads=3", "width=64 is not a multiple of num_heads=3"),
    ],
)
def test_a_wrong_change_names_the_field_and_the_remedy(assignment: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        changed(smoke(), [assignment])
    assert says in str(refused.value)
    assert "ExistingModel" not in str(refused.value), "it tells of an alternative nobody meant"


def test_a_run_begins_with_a_model() -> None:
    with pytest.raises(ValueError, match="pretrain: Input should be"):
        changed(smoke(), ["pretrain=null"])


def test_a_stage_is_left_out_and_brought_back() -> None:
    without = changed(smoke(), ["align=null"])
    assert without.align is None
    assert changed(without, ["align={}"]).align is not None
    back = changed(without, ["align.beta=0.5"]).align
    assert back is not None
    assert back.dpo.beta == 0.5


def test_a_field_of_another_alternative_chooses_it() -> None:
    made = changed(smoke(), ["pretrain.source=/models/otter"])
    assert made.pretrain == ExistingModel(source="/models/otter")
    assert isinstance(changed(made, ["pretrain.depth=2"]).pretrain, FromScratch)


def test_an_object_changes_the_fields_that_it_names() -> None:
    made = changed(smoke(), ['align={"dpo": {"beta": 0.5}}'])
    assert made.align is not None
    assert made.align.dpo.beta == 0.5
    assert made.align.dpo.training.batch_size == 8, "the recipe's own, not the default"


def test_every_recipe_survives_the_json_that_prefect_stores() -> None:
    for name in RECIPES:
        assert Recipe.model_validate_json(recipe(name).model_dump_json()) == recipe(name)


def test_an_unknown_recipe_is_an_error_that_lists_them() -> None:
    with pytest.raises(ValueError, match=r"No recipe 'huge'\. There are: tiny, small, smoke"):
        recipe("huge")
