"""The parameters of a run: a recipe, by its name or by its fields, and changes to it.

They are the same in the form, the schedule, curl, `bloomery trigger` and `bloomery run`:

    {"recipe": "smoke", "set": {"pretrain.depth": 3}}
"""

from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed

from flows.changes import Changes, assignments, changed
from flows.origin import label
from flows.recipes import Recipe, recipe

DEFAULT = "tiny"
"""The recipe of a run that names none."""
NAME = "name"
"""The key of a recipe's fields that says which recipe they change."""

Given = str | dict[str, Any] | Recipe
"""The name of a recipe; or its fields, of which those left out are the named recipe's."""
Set = tuple[str, ...] | dict[str, Any]
"""Changes: each `"path=value"`, or an object of `path: value`."""


def later_than(stage: str) -> list[str]:
    """Return the fields of a recipe that come after a stage, and may be left out."""
    names = list(Recipe.model_fields)
    start = names.index("pretrain" if stage == "data" else stage) + 1
    return [name for name in names[start:] if name != "evals"]


def wanted(flow: str, given: Given, changes: Changes) -> Recipe:
    """Return the recipe that a run of `flow` is to follow.

    Raises:
        ValueError: there is no such recipe, or a change does not fit, or the recipe leaves out the
            stage that the run is to go as far as.
    """
    named, fields = _parts(given)
    without = () if flow == "pipeline" else later_than(flow)
    made = changed(recipe(named), changes, without, fields)
    if flow != "pipeline":
        made.until(flow)
    return made


def problem(flow: str, parameters: Mapping[str, Any]) -> str | None:
    """Return why no run of `flow` can have these parameters; None if one can."""
    try:
        wanted(flow, parameters.get("recipe", DEFAULT), parameters.get("set", ()))
    except ValueError as error:
        return str(error)
    return None


def refused(reason: ValueError) -> State[Any]:
    """Return the state of a run that cannot begin: the sentence alone, and no traceback."""
    return Failed(message=str(reason))


def run_name() -> str:
    """Return the name of the flow run that begins: `brave-otter` becomes `smoke-brave-otter`."""
    prefix = f"{label(flow_run.parameters.get('recipe', DEFAULT))}-"
    name = flow_run.name or ""
    return name if name.startswith(prefix) else prefix + name


def described(flow: str, named: str, changes: list[str]) -> dict[str, Any]:
    """Return the parameters that say the same as a command line.

    Changes are an object, except where their order matters.
    """
    as_object = dict(assignments(changes))
    brief = {"recipe": named, "set": as_object}
    is_same = len(as_object) == len(changes) and problem(flow, brief) is None
    return brief if is_same else {"recipe": named, "set": changes}


def _parts(given: Given) -> tuple[str, dict[str, Any]]:
    """Return the name of a recipe, and the fields that are not its own."""
    if isinstance(given, str):
        return given, {}
    fields = given.model_dump(mode="json") if isinstance(given, Recipe) else dict(given)
    named = fields.pop(NAME, DEFAULT)
    if not isinstance(named, str):
        raise ValueError(f"The {NAME} of a recipe is a text, not {named!r}.")
    return named, fields
