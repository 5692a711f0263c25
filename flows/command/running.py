"""Start a flow in this process, on the running servers if they are up, with a changed recipe."""

import importlib
import logging
import os
from typing import Any, NamedTuple

from prefect.client.schemas.objects import State

from components.core import disk
from components.core.processes.preemption import interruptible, was_ctrl_c
from components.core.servers.databases import refuse_dead_databases, server_environment
from components.core.servers.endpoints import named_api, running_servers
from components.core.settings import settings
from flows.command import temporary_server
from flows.command.importing import import_for, importing
from flows.progress import say_cached

FLOWS = ("pipeline", "data", "pretrain", "continued", "finetune", "align", "compress")


class Ran(NamedTuple):
    """A flow run at its end."""

    run_id: str
    """Its id, by which the journal has it: another may have ended since."""
    completed: bool
    """False if the gate said no."""


def run_flow(flow: str, recipe: str, changes: list[str]) -> Ran:
    """Run `flow` with the recipe and return how it ended.

    Where no server is up and every step was made before, nothing is started: what was made is
    looked up.

    Args:
        flow: One of `FLOWS`: the pipeline, or a stage that it goes as far as.
        recipe: Name of the recipe.
        changes: Each `path.to.field=value`.

    Raises:
        ValueError: the recipe or a change is wrong, or a database does not answer.
        Preempted: a step was told to leave.
    """
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"  # above all it says
    servers = running_servers()
    if servers is not None:
        os.environ["PREFECT_API_URL"] = f"{servers.prefect}/api"

    with importing():
        from flows.origin import label
        from flows.parameters import described, wanted
        from flows.served import serve

        pipeline = importlib.import_module("flows.pipeline")
    wanted(flow, recipe, changes)  # what is wrong is said before anything starts
    parameters = described(flow, recipe, changes)
    function = getattr(pipeline, flow)
    _show_own_lines()
    if servers is None:
        served = (
            serve(flow, label(recipe), lambda: function.fn(**parameters), changes)
            if _has_runs()
            else None
        )
        if served is not None:
            for name in served.steps:
                say_cached(name)
            return Ran(served.run_id, not isinstance(served.outcome, State))
    disk.require_room(settings().home.resolve(), disk.LEAST, "a run")
    if servers is None:
        refuse_dead_databases()
        os.environ.update(server_environment())
        if named_api() is None:
            from infra.templates import begin_databases

            over_copy = begin_databases()
            with interruptible():
                _use(temporary_server.start(over_copy, lambda: import_for(flow)))
    import_for(flow)
    return _run(function, parameters)


def _has_runs() -> bool:
    """Return whether anything may have been made: a new home has nothing to serve."""
    return settings().runs.exists() or settings().artifacts.exists()


def _use(api: str) -> None:
    """Have Prefect, which is imported already, use this server, in every thread."""
    from prefect.context import refresh_global_settings_context

    os.environ["PREFECT_API_URL"] = api
    os.environ["PREFECT_CLIENT_CSRF_SUPPORT_ENABLED"] = "false"  # each client would ask it for one
    refresh_global_settings_context()


def _run(flow: Any, parameters: dict[str, Any]) -> Ran:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # a heartbeat thread costs a second at the end of each subflow, and nobody listens to it here
    with interruptible(), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state = flow(**parameters, return_state=True)
    if was_ctrl_c() and state.name == "Preempted":
        raise KeyboardInterrupt
    if state.is_completed() or state.name == "Rejected":
        return Ran(str(state.state_details.flow_run_id), state.is_completed())
    state.result()  # raises what went wrong, or that it was preempted
    raise RuntimeError(f"The flow ended as {state.name}: {state.message}")


def _show_own_lines() -> None:
    """Show the platform's own lines, not Prefect's: those, and all tracebacks, are in its UI."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("flows", "components"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("flows.progress").addHandler(handler)
