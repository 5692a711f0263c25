"""The server that Prefect starts for a run where none is up: it ends with the run, or is ended.

Prefect ends it itself, unless the run is killed; then the next run does.
"""

import os
from contextlib import suppress

import psutil
from pydantic import ValidationError

from components.core.journal import RunProcess

_SERVED = "BLOOMERY_SERVED_PROCESS"  # environment variable of the server: who started it
_APPLICATION = "prefect.server.api.server:create_app"


def mark_as_ours() -> None:
    """Have the server that this process will start say whose it is."""
    os.environ[_SERVED] = RunProcess.of_this_process().model_dump_json()


def end_forsaken() -> list[int]:
    """End the servers of runs that are dead, and return their process ids."""
    forsaken = [process for process in psutil.process_iter() if _is_forsaken(process)]
    for process in forsaken:
        with suppress(psutil.Error):
            process.terminate()
    return [process.pid for process in forsaken]


def _is_forsaken(process: psutil.Process) -> bool:
    try:
        if _APPLICATION not in process.cmdline():
            return False
        served = RunProcess.model_validate_json(process.environ().get(_SERVED, ""))
    except (psutil.Error, OSError, ValidationError):  # another user's, or not one of ours
        return False
    return not served.is_alive()
