"""Where the servers of this machine answer, if they are up.

`bloomery up` writes `<home>/servers.json` when its servers answer and removes it when it stops.
"""

import json
import os
from functools import cache
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.core.servers.databases import hidden, mlflow_database
from components.core.settings import settings

_NAMED_SECONDS = 5.0
TRAINING_FACE = "workflowType=machine_learning"
"""What makes MLflow show trainings, and not generative apps, as a fresh browser does."""


class Servers(Frozen):
    """The servers that were started over this machine's state."""

    pid: int
    """Process that supervises them."""
    prefect: str
    """URL of the Prefect server, without `/api`."""
    mlflow: str
    """URL of the MLflow server."""
    dashboard: str | None = None
    """URL of the dashboard, if it is up."""
    serving: str | None = None
    """URL of the served models, without `/v1`, if any are."""
    ray: str | None = None
    """Address of the warm Ray head, if there is one."""
    home: Path | None = None
    """Home that they serve: a copy of it has this file too, and is served by nobody."""


def servers_file() -> Path:
    """Return the file that says which servers are up."""
    return settings().home.resolve() / "servers.json"


def _answers(url: str) -> bool:
    import urllib.error  # of every command's start they are a tenth, of which few need them
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=3) as reply:
            return reply.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@cache
def running_servers() -> Servers | None:
    """Return the servers over this machine's state if they are up and answer."""
    file = servers_file()
    if not file.exists():
        return None
    servers = Servers.model_validate(json.loads(file.read_text("utf-8")))
    if servers.home is not None and servers.home != file.parent:
        return None
    up = _alive(servers.pid) and _answers(f"{servers.prefect}/api/health")
    return servers if up and _answers(f"{servers.mlflow}/health") else None


def named_api() -> str | None:
    """Return the Prefect API that this shell names by PREFECT_API_URL, None if it names none.

    Raises:
        ValueError: it does not answer.
    """
    if not (named := os.environ.get("PREFECT_API_URL", "").rstrip("/")):
        return None
    from components.core.servers.calls import Refused, call

    try:
        call(f"{named}/health", timeout=_NAMED_SECONDS)
    except Refused as error:
        what = f"is not the API of a Prefect server that lets us in: {error}"
    except (OSError, ValueError) as error:  # urllib calls a URL that is none a ValueError
        what = f"does not answer: {error}".replace(f"{named}/health does not answer: ", "")
    else:
        return named
    raise ValueError(
        f"PREFECT_API_URL={hidden(named)}, which is set in this shell, {hidden(what)}. Unset it "
        "(`unset PREFECT_API_URL`) to use the servers of this machine, or start the server that it "
        "names."
    )


def tracking_uri() -> str:
    """Return where MLflow's runs are kept: as set, else the running server, else the database."""
    if settings().tracking_uri:
        return settings().tracking_uri
    if (servers := running_servers()) is not None:
        return servers.mlflow
    return mlflow_database()


def flow_run_url(run_id: str) -> str:
    """Return where people see a flow run, whether or not the server is up just now."""
    servers = running_servers()
    prefect = servers.prefect if servers else f"http://127.0.0.1:{settings().prefect_port}"
    return f"{prefect}/runs/flow-run/{run_id}"


def mlflow_url() -> str:
    """Return where people see MLflow, whether or not the server is up just now."""
    uri = tracking_uri()
    return uri if uri.startswith("http") else f"http://127.0.0.1:{settings().mlflow_port}"


def mlflow_run_url(experiment: str, run_id: str) -> str:
    """Return where people see an MLflow run, whether or not the server is up just now."""
    return f"{mlflow_url()}/#/experiments/{experiment}/runs/{run_id}?{TRAINING_FACE}"


def ray_address() -> str:
    """Return the address of the Ray to use: as set, else the warm head of the running servers."""
    if settings().ray_address != "local":
        return settings().ray_address
    servers = running_servers()
    return servers.ray if servers is not None and servers.ray is not None else "local"


def is_warm_head(address: str) -> bool:
    """Return whether it is the Ray head that `bloomery up --ray` keeps on this machine."""
    servers = running_servers()
    return servers is not None and servers.ray == address
