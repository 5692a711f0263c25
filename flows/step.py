"""The seam between components and Prefect: a component becomes a task, a function a flow."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from components.core.component import Component, In, Out
from components.core.execute import address, execute, find
from components.core.journal import Origin, begin_run, end_run, take_output
from components.core.processes.preemption import Preempted, interruptible
from flows.origin import current_origin, outermost_origin, outermost_run, within
from flows.progress import say_cached, shown
from flows.served import is_serving, take

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NOTED = ("preempted", "rejected")  # states with a meaning of their own; another one is a failure


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
    loses its name. The outermost flow also keeps the journal of the run: its process, so that a
    killed one is found out, and how it stands.
    """

    @wraps(function)
    def run(*arguments: _P.args, **named: _P.kwargs) -> _R:
        run_id = outermost_run()
        if run_id is None or run_id != flow_run.id:
            return _run(function, arguments, named)
        given = signature(function).bind(*arguments, **named)
        given.apply_defaults()
        begin_run(outermost_origin(given.arguments))
        if run_id == os.environ.get("PREFECT__FLOW_RUN_ID"):  # a worker started it
            take_output(run_id)
        with within(run_id), _told(run_id) as outcome:
            outcome.append(_run(function, arguments, named))
        return cast(_R, outcome[0])

    return run


def _run(function: Callable[..., _R], arguments: tuple[Any, ...], named: dict[str, Any]) -> _R:
    try:
        with interruptible():
            return function(*arguments, **named)
    except Preempted as notice:
        return cast(_R, _preempted(notice))


@contextmanager
def _told(run_id: str) -> Generator[list[Any]]:
    """Have the journal say how a flow run ends; the block puts what it comes to in the list."""
    outcome: list[Any] = []
    try:
        yield outcome
    except BaseException as error:
        waits = isinstance(error, Pause)
        kind = "failed" if isinstance(error, Exception) else "waiting" if waits else "stopped"
        end_run(run_id, kind, "" if waits else f"{type(error).__name__}: {error}")
        raise
    state = outcome[0]
    if not isinstance(state, State):
        return end_run(run_id, "completed")
    name = (state.name or "").lower()
    end_run(run_id, name if name in _NOTED else "failed", state.message or "")


def _preempted(notice: Preempted) -> State[Any]:
    return Cancelled(name="Preempted", message=str(notice), data=notice)


@task(cache_policy=NO_CACHE, persist_result=False)
def _execute(component: Component[Any, Any], inputs: Any, origin: Origin) -> Any:
    if (artifact := find(component, inputs, origin)) is not None:
        say_cached(component.name, artifact.path)
        return Completed(name="Cached", message=f"made before: {artifact.path}", data=artifact)
    out = address(component, inputs)
    try:
        with interruptible(out), shown(component.name, out):
            return execute(component, inputs, origin)
    except Preempted as notice:
        return _preempted(notice)
