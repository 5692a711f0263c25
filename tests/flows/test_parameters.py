"""A run's parameters: a name and changes are one recipe, wherever they come from."""

import json
from typing import Any

import pytest

from flows.changes import changed
from flows.parameters import described, label, problem, wanted
from flows.pretrain import ExistingModel
from flows.recipes import RECIPES, recipe, smoke, tiny


@pytest.mark.parametrize("name", RECIPES)
def test_a_name_is_the_recipe_and_so_is_everything_that_it_says(name: str) -> None:
    assert wanted("pipeline", name, ()) == recipe(name)
    assert wanted("pipeline", recipe(name).model_dump(mode="json"), ()) == recipe(name)
    assert wanted("pipeline", recipe(name), ()) == recipe(name)


def test_an_object_and_a_list_of_changes_come_to_the_same_recipe() -> None:
    as_object = {"pretrain.depth": 3, "align": None, "architecture": "sliding"}
    as_list = ["pretrain.depth=3", "align=null", "architecture=sliding"]
    assert wanted("pipeline", "smoke", as_object) == wanted("pipeline", "smoke", as_list)
    assert wanted("pipeline", "smoke", as_list) == changed(smoke(), as_list)


def test_fields_that_are_left_out_are_those_of_the_recipe_that_is_named() -> None:
    part = {"pretrain": {"train": {"depth": 3}}, "align": None}
    assert wanted("pipeline", {"name": "smoke", **part}, ()) == changed(
        smoke(), ["pretrain.train.depth=3", "align=null"]
    )
    assert wanted("pipeline", part, ()) == changed(tiny(), ["pretrain.depth=3", "align=null"])
    assert wanted("pipeline", {}, ()) == tiny()


def test_fields_of_another_alternative_choose_it() -> None:
    made = wanted("pretrain", {"pretrain": {"source": "/models/otter"}}, ())
    assert made.pretrain == ExistingModel(source="/models/otter")


def test_changes_come_after_the_fields() -> None:
    fields = {"name": "smoke", "align": {"dpo": {"beta": 0.5}}}
    made = wanted("pipeline", fields, {"align.beta": 0.2}).align
    assert made is not None
    assert made.dpo.beta == 0.2


def test_a_run_as_far_as_a_stage_asks_nothing_of_those_after_it() -> None:
    made = wanted("pretrain", "smoke", {"pretrain.architecture": "bert"})
    assert made.finetune is None
    with pytest.raises(ValueError, match="finetune"):
        wanted("pipeline", "smoke", {"pretrain.architecture": "bert"})


@pytest.mark.parametrize(
    ("flow", "given", "changes", "says"),
    [
        (
            "pipeline",
            "smok",
            [],
            "No recipe 'smok'. There are: tiny, small, smoke, adapt, continue, compress.",
        ),
        ("pipeline", {"name": "smok"}, [], "No recipe 'smok'"),
        ("pipeline", {"algin": None}, [], "no field 'algin'. Did you mean 'align'?"),
        ("pipeline", "smoke", {"pretrain.dept": 3}, "Did you mean 'depth'?"),
        ("pipeline", "smoke", ["pretrain.dept=3"], "Did you mean 'depth'?"),
        ("pipeline", "smoke", ["pretrain.depth"], "has no `=`"),
        ("pipeline", "smoke", [None], "has no `=`"),
        ("pipeline", "smoke", {"pretrain.depth": "deep"}, "pretrain.train.depth: Input should be"),
        ("pipeline", "smoke", {"num_heads": 3}, "width=64 is not a multiple of num_heads=3"),
        ("align", "smoke", {"align": None}, "The recipe leaves out 'align'"),
    ],
)
def test_what_cannot_run_is_told_in_the_words_of_the_command_line(
    flow: str, given: Any, changes: Any, says: str
) -> None:
    assert says in (problem(flow, {"recipe": given, "set": changes}) or "")


@pytest.mark.parametrize(
    "changes",
    [
        {"align": None, "align.beta": 0.5},
        {"align": {"dpo": {"beta": 0.1}}, "align.dpo.beta": 0.5},
        {"pretrain.source": "/models/otter", "pretrain.depth": 3},
    ],
    ids=str,
)
def test_an_object_of_changes_whose_order_matters_is_refused(changes: dict[str, Any]) -> None:
    for given in (changes, dict(reversed(changes.items()))):  # PostgreSQL keeps no order
        with pytest.raises(ValueError, match="depends on their order"):
            wanted("pipeline", "smoke", given)


def test_a_command_line_is_an_object_unless_its_order_matters() -> None:
    brief = described("pipeline", "smoke", ["pretrain.depth=3", "align=null"])
    assert brief == {"recipe": "smoke", "set": {"pretrain.depth": 3, "align": None}}
    for changes in (["align=null", "align.beta=0.5"], ["align.beta=0.5", "align.beta=0.1"]):
        in_order = described("pipeline", "smoke", changes)
        assert in_order == {"recipe": "smoke", "set": changes}
        assert wanted("pipeline", **_as_arguments(in_order)) == changed(smoke(), changes)


def _as_arguments(parameters: dict[str, Any]) -> dict[str, Any]:
    stored = json.loads(json.dumps(parameters))
    return {"given": stored["recipe"], "changes": stored["set"]}


def test_a_run_is_called_after_the_recipe_that_it_names() -> None:
    assert label("smoke") == "smoke"
    assert label({"name": "small", "align": None}) == "small"
    assert label(smoke().model_dump(mode="json")) == "custom"
