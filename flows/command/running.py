"""Start a flow in this process, on the running servers if they are up, with a changed recipe."""

import importlib
import logging
import os
from typing import Any

from prefect.client.schemas.objects import State

from components.core.processes.preemption import interruptible, was_ctrl_c
from components.core.servers.databases import refuse_dead_databases, server_environment
from components.core.servers.endpoints import named_api, running_servers
from flows.changes import changed
from flows.command import temporary_server
from flows.progress import say_cached

FLOWS = ("pipeline", "data", "pretrain", "finetune", "align", "compress")


def run_flow(flow: str, recipe: str, changes: list[str]) -> bool:
    """Run `flow` with the recipe and return whether it completed: False if the gate said no.

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

    from flows import recipes
    from flows.served import serve

    without = () if flow == "pipeline" else recipes.later_than(flow)
    chosen = changed(recipes.recipe(recipe), changes, without)
    module = "flows.pipeline" if flow == "pipeline" else "flows.until"
    wanted = getattr(importlib.import_module(module), flow)
    _show_own_lines()
    if servers is None:
        if (served := serve(flow, lambda: wanted.fn(chosen))) is not None:
            outcome, steps = served
            for name in steps:
                say_cached(name)
            return not isinstance(outcome, State)
        refuse_dead_databases()
        os.environ.update(server_environment())
        if named_api() is None:
            with interruptible():
                _use(temporary_server.start())
    return _run(wanted, chosen)


def _use(api: str) -> None:
    """Have Prefect, which is imported already, use this server, in every thread."""
    from prefect.context import refresh_global_settings_context

    os.environ["PREFECT_API_URL"] = api
    refresh_global_settings_context()


def _run(flow: Any, recipe: Any) -> bool:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # a heartbeat thread costs a second at the end of each subflow, and nobody listens to it here
    with interruptible(), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state = flow(recipe, return_state=True)
    if was_ctrl_c() and state.name == "Preempted":
        raise KeyboardInterrupt
    if state.is_completed():
        return True
    if state.name == "Rejected":
        return False
    state.result()  # raises what went wrong, or that it was preempted
    raise RuntimeError(f"The flow ended as {state.name}: {state.message}")


def _show_own_lines() -> None:
    """Show the platform's own lines, not Prefect's: those, and all tracebacks, are in its UI."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("flows", "components"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("flows.progress").addHandler(handler)
