"""A run of which every step was made before: served from the artifacts, without Prefect."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import uuid4

from prefect.client.schemas.objects import State
from prefect.utilities.names import generate_slug
from pydantic import BaseModel

from components.core.artifacts.base import Artifact
from components.core.component import Component, In, Out
from components.core.execute import find
from components.core.journal import Origin, begin_run, end_run

_R = TypeVar("_R")
_serving: ContextVar["list[tuple[Component[Any, Any], BaseModel]] | None"] = ContextVar(
    "serving", default=None
)


class NotMade(Exception):
    """A step that is still to be made."""


def is_serving() -> bool:
    """Return whether this code may only look up what was made before."""
    return _serving.get() is not None


def take(component: Component[In, Out], inputs: In) -> Out:
    """Return what `component` made of `inputs` before. Raises NotMade if it did not."""
    taken = _serving.get()
    assert taken is not None, "only while serving"
    if (made := find(component, inputs)) is None:
        raise NotMade(component.name)
    taken.append((component, inputs))
    return made


class Served(NamedTuple, Generic[_R]):
    """A run that had nothing to make."""

    outcome: _R
    """What it comes to."""
    steps: list[str]
    """Names of the components that it took, in order."""
    run_id: str
    """Under which the journal has it."""


def serve(
    flow: str, label: str, function: Callable[[], _R], changes: Sequence[str] = ()
) -> Served[_R] | None:
    """Return what `function` comes to and the steps it took, if all were made before; else None.

    The journal gets a run of that `flow`, as if Prefect had run it; its name begins with `label`,
    the recipe, of which `changes` say what is otherwise.

    Raises:
        ValueError: something that was made before is damaged.
    """
    token = _serving.set(taken := [])
    try:
        outcome = function()
    except NotMade:
        return None
    finally:
        _serving.reset(token)
    origin = Origin(
        run_id=str(uuid4()),
        run_name=f"{label}-{generate_slug(2)}",
        flow=flow,
        recipe=", ".join([label, *changes]),
    )
    begin_run(origin)
    for component, inputs in taken:
        artifact: Artifact | None = find(component, inputs, origin)
        assert artifact is not None, "it was there a moment ago"
    if isinstance(outcome, State):
        end_run(origin.run_id, "rejected", outcome.message or "")
    else:
        end_run(origin.run_id, "completed")
    return Served(outcome, [component.name for component, _ in taken], origin.run_id)
