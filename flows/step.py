"""The seam between components and Prefect: a component becomes a task, a function a flow."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from components.core.component import Component, In, Out
from components.core.execute import address, execute, find
from components.core.journal import Origin, note_process, take_output
from components.core.processes.preemption import Preempted
from flows.origin import current_origin
from flows.progress import say_cached, shown
from flows.served import is_serving, take

_P = ParamSpec("_P")
_R = TypeVar("_R")


def step(component: Component[In, Out], inputs: In) -> Out:
    """Run `component` on `inputs` as a task; one that was done before shows as `Cached`."""
    if is_serving():
        return take(component, inputs)
    task_run = _execute.with_options(name=component.name)
    state = task_run(component, inputs, current_origin(), return_state=True)
    return state.result()


def subflow(function: Callable[_P, _R], name: str, run_name: str | None = None) -> Callable[_P, _R]:
    """Make a flow within a flow of `function`; while all is served, leave it as it is."""
    if is_serving():
        return function
    made = flow(name=name, flow_run_name=run_name, validate_parameters=False)
    return cast(Callable[_P, _R], made(preemptible(function)))


def preemptible(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a flow of which a step was told to leave end as `Preempted`, not as failed.

    Whoever called it gets the exception. Each level needs a state of its own: one that is passed on
    loses its name. The outermost flow also notes its process, so that a killed one is found out.
    """

    @wraps(function)
    def run(*arguments: _P.args, **named: _P.kwargs) -> _R:
        if flow_run.id is not None and flow_run.id == flow_run.root_flow_run_id:
            note_process(flow_run.id)
            if flow_run.id == os.environ.get("PREFECT__FLOW_RUN_ID"):  # a worker started it
                take_output(flow_run.id)
        try:
            return function(*arguments, **named)
        except Preempted as notice:
            return cast(_R, _preempted(notice))

    return run


def _preempted(notice: Preempted) -> State[Any]:
    return Cancelled(name="Preempted", message=str(notice), data=notice)


@task(cache_policy=NO_CACHE, persist_result=False)
def _execute(component: Component[Any, Any], inputs: Any, origin: Origin) -> Any:
    if (artifact := find(component, inputs, origin)) is not None:
        say_cached(component.name, artifact.path)
        return Completed(name="Cached", message=f"made before: {artifact.path}", data=artifact)
    try:
        with shown(component.name, address(component, inputs)):
            return execute(component, inputs, origin)
    except Preempted as notice:
        return _preempted(notice)
