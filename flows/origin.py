"""Who asks for a step: the outermost flow run."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from components.core.journal import Origin, state_of

_outermost: ContextVar[str | None] = ContextVar("outermost", default=None)


def current_origin() -> Origin:
    """Return the outermost flow run that this code runs in."""
    root = outermost_run()
    return Origin() if root is None else _origin(root)


def outermost_run() -> str | None:
    """Return the id of the outermost flow run that this code runs in, None outside of all.

    Unless it was noted, the server is asked: two requests, each with a connection of its own.
    """
    if flow_run.id is None:
        return None
    return _outermost.get() or flow_run.root_flow_run_id


@contextmanager
def within(run_id: str) -> Generator[None]:
    """Note for all that is called in the block that this is the outermost flow run."""
    token = _outermost.set(run_id)
    try:
        yield
    finally:
        _outermost.reset(token)


def outermost_origin(parameters: Mapping[str, Any]) -> Origin:
    """Return the flow run that this code runs in, which is the outermost and got `parameters`."""
    assert flow_run.id is not None, "only in a flow run"
    return Origin(
        run_id=flow_run.id,
        run_name=flow_run.name or flow_run.id,
        flow=flow_run.flow_name or "",
        recipe=recipe_of(parameters),
    )


def recipe_of(parameters: Mapping[str, Any]) -> str:
    """Return what a run follows, for people: `smoke`, `smoke, pretrain.depth=3`, or nothing.

    A recipe that was written out in full is `custom`, unless it says whose fields it changes.
    """
    given = parameters.get("recipe")
    if given is None:
        return ""
    changes: Any = parameters.get("set") or ()
    if isinstance(changes, Mapping):
        changes = [f"{path}={value}" for path, value in changes.items()]
    return ", ".join([label(given), *map(str, changes)])


def label(given: object) -> str:
    """Return what a run is called after: the recipe that it names, else `custom`."""
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        return given["name"]
    return "custom"


@cache
def _origin(root: str) -> Origin:
    if (state := state_of(root)) is not None:
        return state.origin
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(root))
        flow = client.read_flow(run.flow_id)
    return Origin(run_id=root, run_name=run.name, flow=flow.name)
