"""The form of a flow's parameters: what the Prefect UI draws and the server enforces.

Both of Prefect's interfaces (3.8) choose the tab of an alternative by the fields that a value has,
so `anyOf` alone is drawn right, and each alternative needs a field of its own.
"""

import re
from collections.abc import Iterator
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def form(flow: Flow[..., Any]) -> dict[str, Any]:
    """Return the schema of a flow's parameters.

    A parameter that the flow does not have is refused too; Prefect lets it pass, and the run
    crashes without a word.
    """
    schema = {**parameter_schema(flow).model_dump_for_openapi(), "additionalProperties": False}
    for model in _models(schema):
        if "title" in model:  # the words on a tab
            model["title"] = _WORD.sub(" ", model["title"])
        for name, field in model.get("properties", {}).items():
            field.setdefault("title", name.replace("_", " ").title())
            if "default" in field and field["default"] is None:
                del field["default"]  # a new schedule would send it, and of the recipe nothing else
    return schema


def _models(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    yield from schema.get("definitions", {}).values()
