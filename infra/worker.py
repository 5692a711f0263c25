"""A worker of the stack, which first registers the deployments.

Both need Prefect, whose import takes seconds: a child of this process, made once that is imported,
imports the flows and registers them as soon as the server answers, while this one gets ready. Where
the server has the deployments of this very code, nothing is imported and nothing registered. The
worker takes its first run once the supervisor has written down where the servers are.

Prefect's worker (3.8.8) writes over the last state of a run that people cancelled, also of one that
has ended by itself and said which checkpoint it left. Here that word stays.

    python -m infra.worker NAME
"""

import asyncio
import gc
import importlib
import os
import runpy
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.core.servers.calls import answer
from components.core.servers.endpoints import servers_file
from components.core.settings import settings
from infra import registration
from infra.services import POOL

_LOOK_EVERY_SECONDS = 0.1


def registered() -> Path:
    """Return the file that is there once the deployments are."""
    return settings().home.resolve() / ".registered"


def _register() -> int:
    """Register the deployments in a child, which keeps the memory of the flows; return its pid."""
    if (child := os.fork()) != 0:
        return child
    try:
        importlib.import_module("flows.pipeline")
        _wait_for_server()
        runpy.run_module("infra.deploy", run_name="__main__")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def keep_last_words() -> None:
    """Have the worker leave a cancelled run that has ended by itself in the state that it chose."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.exceptions import ObjectNotFound
    from prefect.runner._state_proposer import StateProposer

    propose = StateProposer.propose_cancelled

    async def propose_unless_ended(
        self: StateProposer, flow_run: FlowRun, state_updates: dict[str, Any] | None = None
    ) -> bool:
        try:
            state = (await self._client.read_flow_run(flow_run.id)).state  # pyright: ignore[reportPrivateUsage]
        except ObjectNotFound:
            return False
        has_ended = state is not None and state.is_cancelled()
        return has_ended or await propose(self, flow_run, state_updates)

    StateProposer.propose_cancelled = propose_unless_ended


def _wait_for_server() -> None:
    while answer(f"{os.environ['PREFECT_API_URL']}/health") is None:  # the supervisor gives up
        time.sleep(_LOOK_EVERY_SECONDS)


def main() -> None:
    """Start the worker in this process, as `prefect worker start` does after its command line."""
    gc.disable()  # a sixth of the imports' time goes to it, and the child's memory is this one's
    importlib.import_module("prefect")
    child = None if registration.is_code_registered() else _register()
    importlib.import_module("prefect.workers.process")
    from prefect.utilities.processutils import setup_signal_handlers_worker

    keep_last_words()
    gc.freeze()
    gc.enable()
    if child is None:
        _wait_for_server()
        child = None if registration.is_there() else _register()
    if child is not None and os.waitpid(child, 0)[1] != 0:
        sys.exit("The deployments could not be registered.")
    registered().touch()
    while not servers_file().exists():
        time.sleep(_LOOK_EVERY_SECONDS)
    setup_signal_handlers_worker(os.getpid(), "the worker", _say)
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(_work(sys.argv[1]))


async def _work(name: str) -> None:
    from prefect.settings import get_current_settings
    from prefect.workers.process import ProcessWorker

    told = get_current_settings().worker
    worker = ProcessWorker(
        name=name,
        work_pool_name=POOL,
        prefetch_seconds=told.prefetch_seconds,
        heartbeat_interval_seconds=int(told.heartbeat_seconds),
    )
    await worker.start(printer=_say)


def _say(what: object, **_: object) -> None:
    """Write to the log what Prefect would show in colours."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
