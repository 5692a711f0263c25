"""Start a flow in this process, on the running servers if they are up, with a changed recipe."""

import importlib
import json
import logging
import os
from typing import Any

from pydantic import ValidationError

from components.core.artifacts.base import Artifact
from components.core.servers.databases import refuse_dead_databases, server_environment
from components.core.servers.endpoints import running_servers
from flows.command import temporary_server


def run_flow(flow: str, recipe: str, changes: list[str], **inputs: Artifact) -> bool:
    """Run `flow` with the recipe and return whether it completed: False if the gate said no.

    Args:
        flow: Name of the flow.
        recipe: Name of the recipe.
        changes: Each `path.to.field=value`.
        inputs: What else the flow is given.

    Raises:
        ValueError: the recipe, a change or an input is wrong, or a database does not answer.
        Preempted: a step was told to leave.
    """
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"  # above all it says
    servers = running_servers()
    if servers is not None:
        os.environ["PREFECT_API_URL"] = f"{servers.prefect}/api"
    else:
        refuse_dead_databases()
        os.environ.update(server_environment())
        temporary_server.end_forsaken()
        temporary_server.mark_as_ours()

    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows import recipes

    chosen = change(recipes.recipe(recipe), changes)
    _show_own_lines()
    module = importlib.import_module("flows.evals" if flow == "baselines" else f"flows.{flow}")
    # a heartbeat thread costs a second at the end of each subflow, and nobody listens to it here
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state = getattr(module, flow)(chosen, return_state=True, **inputs)
    if state.is_completed():
        return True
    if state.name == "Rejected":
        return False
    state.result()  # raises what went wrong, or that it was preempted
    raise RuntimeError(f"The flow ended as {state.name}: {state.message}")


def change(recipe: Any, changes: list[str]) -> Any:
    """Return `recipe` with each `path.to.field=value` applied.

    Raises:
        ValueError: a path names no field, or a value does not fit it.
    """
    values = recipe.model_dump(mode="json")
    for assignment in changes:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ValueError(f"--set {assignment!r} has no `=`: write path.to.field=value.")
        _assign(values, path, text)
    try:
        return type(recipe).model_validate(values)
    except ValidationError as error:
        found = [
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}, not {e['input']!r}"
            for e in error.errors()
        ]
        raise ValueError(f"The recipe is not valid. {'; '.join(found)}.") from error


def _assign(values: dict[str, Any], path: str, text: str) -> None:
    *parents, field = path.split(".")
    place = values
    for depth, name in enumerate([*parents, field]):
        if not isinstance(place, dict) or name not in place:
            known = ", ".join(place) if isinstance(place, dict) else "nothing"
            where = ".".join(path.split(".")[:depth]) or "the recipe"
            raise ValueError(f"--set {path}: {where} has no field {name!r}. It has: {known}.")
        if depth < len(parents):
            place = place[name]
    try:
        place[field] = json.loads(text)
    except json.JSONDecodeError:
        place[field] = text


def _show_own_lines() -> None:
    """Show the platform's own lines, not Prefect's: those, and all tracebacks, are in its UI."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("flows", "components"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("flows.progress").addHandler(handler)
