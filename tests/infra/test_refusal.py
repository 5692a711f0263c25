"""The form of a run is short, and the server refuses by it what the command line would."""

import json
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.schema_tools.validation import ValidationError, is_valid_schema, validate

from components.align.dpo import DPO
from components.core.docstrings import field_docstrings
from flows.ingest import ingest
from flows.parameters import DEFAULT
from flows.pipeline import pipeline, pretrain
from flows.recipes import RECIPES, Recipe, recipe, smoke
from infra import refusal
from infra.form import form


@pytest.fixture(scope="module", autouse=True)
def taught() -> None:
    refusal.teach()


def _refusal(flow: Flow[..., Any], parameters: dict[str, Any]) -> str:
    try:
        validate(parameters, form(flow), raise_on_error=True)
    except ValidationError as error:
        return str(error)
    return ""


def test_the_form_has_two_fields_and_says_what_each_recipe_is() -> None:
    made = form(pipeline)
    is_valid_schema(made)
    assert list(made["properties"]) == ["recipe", "set"]
    field = made["properties"]["recipe"]
    assert field["default"] == "tiny"
    assert field["anyOf"][0]["enum"] == list(RECIPES)
    for name in RECIPES:
        assert f"{name}: " in field["description"]


def test_a_recipe_that_is_written_out_explains_every_field_and_demands_none() -> None:
    definitions = form(pipeline)["definitions"]
    shown = definitions["Recipe"]["properties"]
    described = {name: shown[name]["description"] for name in shown if name != "name"}
    assert described == field_docstrings(Recipe)
    assert definitions["DPO"]["properties"]["beta"]["description"] == field_docstrings(DPO)["beta"]
    assert not any("required" in model for model in definitions.values())


def test_a_recipe_that_is_written_out_begins_as_the_recipe_that_it_says_it_changes() -> None:
    made = form(pipeline)
    shown = recipe(DEFAULT).model_dump(mode="json")
    assert made["properties"]["recipe"]["anyOf"][1]["default"] == shown  # the new interface's
    fields = made["definitions"]["Recipe"]["properties"]
    assert {name: fields[name]["default"] for name in shown} == shown  # the old one's
    assert "default" not in fields["name"]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"recipe": "smoke"},
        {"recipe": "smoke", "set": []},
        {"recipe": "smoke", "set": ["pretrain.depth=3"]},
        {"recipe": "smoke", "set": {"pretrain.depth": 3, "align": None}},
        {"recipe": smoke().model_dump(mode="json")},
        {"recipe": {"name": "smoke", "pretrain": {"train": {"depth": 3}}, "align": None}},
        {"recipe": {"pretrain": {"source": "/models/otter"}}},
    ],
    ids=lambda parameters: json.dumps(parameters)[:60],
)
def test_what_can_run_is_accepted(parameters: dict[str, Any]) -> None:
    assert _refusal(pipeline, parameters) == ""


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"recipe": "smok"}, "'recipe'. Failure reason: No recipe 'smok'. There are: tiny"),
        ({"set": ["pretrain.dept=3"]}, "'set'. Failure reason: --set pretrain.dept: pretrain has"),
        ({"set": {"pretrain.dept": 3}}, "Did you mean 'depth'?"),
        ({"set": {"pretrain.depth": "deep"}}, "pretrain.train.depth: Input should be a valid int"),
        ({"recipe": "smoke", "set": ["num_heads=3"]}, "is not a multiple of num_heads=3"),
        ({"set": [3]}, "--set 3 has no `=`"),
        ({"recipe": {"algin": None}}, "no field 'algin'. Did you mean 'align'?"),
        ({"recipe": {"align": {"dpo": {"beta": "strong"}}}}, "align.dpo.beta: Input should be"),
        ({"recipes": "smoke"}, "'recipes' was unexpected"),
    ],
    ids=str,
)
def test_what_cannot_run_is_refused_with_the_sentence_of_the_command_line(
    parameters: dict[str, Any], says: str
) -> None:
    assert says in _refusal(pipeline, parameters)


def test_what_no_alternative_takes_is_said_once() -> None:
    said = _refusal(pipeline, {"recipe": {"pretrain": {"folder": "/models/otter"}}})
    assert said.count("pretrain.folder: Extra inputs are not permitted") == 1


def test_a_flow_that_goes_as_far_as_a_stage_asks_nothing_of_those_after_it() -> None:
    encoder = {"recipe": "smoke", "set": {"pretrain.architecture": "bert"}}
    assert _refusal(pretrain, encoder) == ""
    assert "finetune" in _refusal(pipeline, encoder)


def test_a_form_without_a_recipe_is_that_of_the_flow() -> None:
    made = form(ingest)
    assert {"name", "source"} <= set(made["properties"])
    assert "'name' is a required property" in _refusal(ingest, {"source": {"location": "x"}})
