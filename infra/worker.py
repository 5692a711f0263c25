"""A worker of the stack, which first registers the deployments.

Both need Prefect, whose import takes seconds: a child of this process, made once that is imported,
imports the flows and registers them as soon as the server answers, while this one gets ready. Where
the server has the deployments of this very code, nothing is imported and nothing registered. The
worker takes its first run once the supervisor has written down where the servers are.

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
