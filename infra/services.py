"""The services of one machine: how each is started, and how to tell that it answers."""

import importlib.util
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from components.core.processes.ray_session import warm_head_arguments
from components.core.servers.access import (
    browser_hosts,
    client_environment,
    credentials,
    proxied_hosts,
)
from components.core.servers.calls import answer
from components.core.servers.databases import server_environment
from components.core.servers.endpoints import Servers
from components.core.settings import quiet_environment, settings
from components.core.tracking.client import artifact_location
from infra.janitor import MARK

POOL = "bloomery"  # the work pool of all deployments
CHECKOUT = Path(__file__).resolve().parents[1]
DASHBOARD = CHECKOUT / "dashboards" / "app.py"


class Service(NamedTuple):
    """One service: a process, leader of its own group."""

    name: str
    """What people call it; its log is `<home>/logs/<name>.log`."""
    command: list[str]
    """Arguments of this Python."""
    is_ready: Callable[[], bool]
    """Whether it answers just now."""
    url: str = ""
    """What people open."""
    what: str = ""
    """What they do there."""
    log: str = ""
    """The log's name, where it is another."""


def addresses(with_ray: bool, is_serving: bool = False) -> Servers:
    """Return where the servers will answer on this machine."""
    host = reachable(settings().host)
    return Servers(
        pid=os.getpid(),
        prefect=f"http://{host}:{settings().prefect_port}",
        mlflow=f"http://{host}:{settings().mlflow_port}",
        dashboard=f"http://{host}:{settings().dashboard_port}" if has_dashboard() else None,
        serving=f"http://{host}:{settings().serving_port}" if is_serving else None,
        ray=f"127.0.0.1:{settings().ray_port}" if with_ray else None,
        home=settings().home.resolve(),
    )


def reachable(host: str) -> str:
    """Return how this machine itself reaches a server that listens on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else host


def has_dashboard() -> bool:
    """Return whether the dashboard is here and its library is installed."""
    return DASHBOARD.is_file() and importlib.util.find_spec("streamlit") is not None


def prefect(servers: Servers) -> Service:
    """Return the Prefect server: its API, its UI and its scheduler."""
    return Service(
        "prefect",
        ["-m", "infra.prefect_server", settings().host],
        lambda: answer(f"{servers.prefect}/api/health") is not None,
        servers.prefect,
        "start, schedule and watch runs",
    )


def mlflow(servers: Servers) -> Service:
    """Return the MLflow server over the database that runs without servers use."""
    places = ["--default-artifact-root", artifact_location(), "--no-serve-artifacts"]
    address = ["--host", settings().host, "--port", str(settings().mlflow_port), "--workers", "1"]
    login = ["--app-name", "basic-auth"] if credentials() else []
    quiet = ["--uvicorn-opts", "--log-level warning"]
    return Service(
        "mlflow",
        ["-m", "infra.mlflow_server", *address, *places, *login, *quiet],
        lambda: answer(f"{servers.mlflow}/health") is not None,
        # not MLflow's GenAI interface
        f"{servers.mlflow}/#/experiments?workflowType=machine_learning",
        "compare runs, find models",
    )


def dashboard(servers: Servers) -> Service:
    """Return the dashboard."""
    assert servers.dashboard is not None
    address = ["--server.address", settings().host, "--server.port", str(settings().dashboard_port)]
    quiet = ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    quiet += ["--server.fileWatcherType", "none"]
    quiet += [f"--server.corsAllowedOrigins={each}" for each in _origins(settings().dashboard_port)]
    url = servers.dashboard
    return Service(
        "dashboard",
        ["-m", "streamlit", "run", str(DASHBOARD), *address, *quiet],
        lambda: answer(f"{url}/_stcore/health") is not None,
        url,
        "pipelines, models, training and data at a glance",
    )


def ray(servers: Servers) -> Service:
    """Return a warm Ray head: a step's Ray then starts in one second instead of five."""
    assert servers.ray is not None
    host, _, port = servers.ray.partition(":")
    return Service(
        "ray",
        ["-m", "ray.scripts.scripts", "start", *warm_head_arguments(host, int(port))],
        lambda: _listens(host, int(port)),
        servers.ray,
        "the processes of training and data steps",
    )


def serving(servers: Servers, models: Sequence[str]) -> Service:
    """Return the server of models, which waits for those that are not released yet."""
    assert servers.serving is not None
    host, port = reachable(settings().host), settings().serving_port
    return Service(
        "serving",
        ["-m", "infra.serving.running", *models],
        lambda: _listens(host, port),
        f"{servers.serving}/v1",
        "models for OpenAI's clients",
    )


def worker(servers: Servers) -> Service:
    """Return the worker that registers every deployment and does its runs."""
    name = f"{socket.gethostname()}-{secrets.token_hex(3)}"
    rows = f"{servers.prefect}/api/work_pools/{POOL}/workers/filter"

    def is_ready() -> bool:
        online = [row["name"] for row in answer(rows, {}) or [] if row["status"] == "ONLINE"]
        return name in online

    return Service(
        "worker",
        ["-m", "infra.worker", name],
        is_ready,
        "",
        "does the runs, one training at a time",
    )


def environment(servers: Servers, home: Path) -> dict[str, str]:
    """Return the environment of every process of the stack, and so of the runs of the worker."""
    path = str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])
    return {
        **quiet_environment(),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",  # a new schedule shows its runs
        # a burst of calls waits for the one writer of SQLite instead of being sent away
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_TIMEOUT": "120",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(_with_ports(browser_hosts())),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_origins(settings().mlflow_port)),
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        "RAY_AUTH_MODE": "token",
        **os.environ,
        **server_environment(),
        **_login(home),
        MARK: str(home),
        "BLOOMERY_HOME": str(home),
        "BLOOMERY_PROJECT": str(settings().project.resolve()),
        "PREFECT_API_URL": f"{servers.prefect}/api",
        "PREFECT_SERVER_UI_API_URL": "/api",  # as the browser reaches the page itself
        "PREFECT_SERVER_API_PORT": str(settings().prefect_port),
        # the default lets any page that is open in the browser start runs
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_origins(settings().prefect_port)),
        "PYTHONPATH": os.pathsep.join(path),  # runs of the worker begin in an empty folder
    }


def _with_ports(hosts: list[str]) -> list[str]:
    return [*hosts, *(f"{host}:*" for host in hosts)]


def _origins(port: int) -> list[str]:
    """Return the pages that may change something: a server's own, as browsers name them."""
    here = [f"http://{host}:{port}" for host in browser_hosts()]
    return [*here, *(f"http{s}://{host}" for host in proxied_hosts() for s in ("", "s"))]


def _login(home: Path) -> dict[str, str]:
    """Return what makes the servers ask for the login, and the runs give it."""
    if (login := credentials()) is None:
        return {}
    (folder := home / "mlflow").mkdir(parents=True, exist_ok=True)
    config = folder / "basic_auth.ini"  # the names and the password come from the environment
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n",
        encoding="utf-8",
    )
    return {
        **client_environment(),
        "PREFECT_SERVER_API_AUTH_STRING": f"{login.user}:{login.password}",
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_USERNAME": login.user,
        "MLFLOW_AUTH_ADMIN_PASSWORD": login.password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0
