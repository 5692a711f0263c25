"""The form of a flow's parameters: what the Prefect UI draws and the server enforces.

A run is a recipe's name and a short list of changes, so the form has two fields. Both of Prefect's
interfaces (3.8) choose the tab of an alternative by the fields that a value has, so `anyOf` alone
is drawn right. A new schedule sends every default of its form, and a default of null as well.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.parameters import DEFAULT, NAME
from flows.recipes import RECIPES, recipe
from infra.refusal import KEYWORD

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def form(flow: Flow[..., Any]) -> dict[str, Any]:
    """Return the schema of a flow's parameters.

    A parameter that the flow does not have is refused too; Prefect lets it pass, and the run
    crashes without a word.
    """
    schema: dict[str, Any] = {
        **parameter_schema(flow).model_dump_for_openapi(),
        "additionalProperties": False,
    }
    for model in _models(schema):
        if "title" in model:  # the words on a tab
            model["title"] = _WORD.sub(" ", model["title"])
        for name, field in model.get("properties", {}).items():
            field.setdefault("title", name.replace("_", " ").title())
            if "default" in field and field["default"] is None:
                del field["default"]
    if "recipe" in schema["properties"]:
        schema[KEYWORD] = flow.name
        schema["properties"] = {"recipe": _recipe(schema["definitions"]), "set": _set()}
    return schema


def _recipe(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the field `recipe`, and make of every field of a recipe one that may be left out."""
    for model in definitions.values():
        model.pop("required", None)
        for field in model.get("properties", {}).values():
            field.pop("default", None)  # what is left out is the named recipe's
    names = list(RECIPES)
    shown = recipe(DEFAULT).model_dump(mode="json")
    written = definitions["Recipe"]
    written["title"] = "Written out"
    for name, value in shown.items():  # the old interface knows no default of an alternative
        written["properties"][name]["default"] = value
    written["properties"][NAME] = {
        "title": "Name",
        "type": "string",
        "enum": names,
        "description": f"The recipe that gives what is left out: {DEFAULT}, unless you say.",
    }
    described = " ".join(f"{name}: {_first_sentence(name)}" for name in names)
    return {
        "title": "Recipe",
        "description": f"{described} If you choose none: {DEFAULT}.",
        "default": DEFAULT,
        "anyOf": [
            {"title": "By name", "type": "string", "enum": names},
            {"$ref": "#/definitions/Recipe", "default": shown},
        ],
    }


def _set() -> dict[str, Any]:
    return {
        "title": "Set",
        "description": (
            "Changes to the recipe, as --set has them. For example pretrain.depth=3, "
            "align.beta=0.2, or align=null, which leaves a stage out."
        ),
        "default": [],
        "anyOf": [
            {"title": "path=value", "type": "array", "items": {"type": "string"}},
            # in `allOf` an object of any keys is drawn as an editor of JSON, and alone as nothing
            {"title": "JSON", "type": "object", "allOf": [{"type": "object"}]},
        ],
    }


def _first_sentence(name: str) -> str:
    text = " ".join((inspect.getdoc(RECIPES[name]) or "").partition("\n\n")[0].split())
    return text if text.endswith(".") else f"{text}."


def _models(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    yield from schema.get("definitions", {}).values()
