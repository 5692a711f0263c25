"""A run of which every step was made before: served from the artifacts, without Prefect."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import uuid4

from prefect.utilities.names import generate_slug
from pydantic import BaseModel

from components.core.artifacts.base import Artifact
from components.core.component import Component, In, Out
from components.core.execute import find
from components.core.journal import Origin

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


def serve(flow: str, label: str, function: Callable[[], _R]) -> tuple[_R, list[str]] | None:
    """Return what `function` comes to and the steps it took, if all were made before; else None.

    The journal gets a run of that `flow`, as if Prefect had run it; its name begins with `label`.
    """
    token = _serving.set(taken := [])
    try:
        result = function()
    except NotMade:
        return None
    finally:
        _serving.reset(token)
    origin = Origin(run_id=str(uuid4()), run_name=f"{label}-{generate_slug(2)}", flow=flow)
    for component, inputs in taken:
        artifact: Artifact | None = find(component, inputs, origin)
        assert artifact is not None, "it was there a moment ago"
    return result, [component.name for component, _ in taken]
