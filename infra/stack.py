"""The servers of one machine: Prefect with a worker, and MLflow, from `bloomery up` to Ctrl-C.

All listen on 127.0.0.1 and use the databases under `settings().home` that runs without servers use.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table

from components.core.endpoints import Servers, running_servers, servers_file
from components.core.files import write_atomically
from components.core.settings import quiet_environment, settings
from infra.ports import port_holder

POOL = "bloomery"  # the work pool of all deployments
_CHECKOUT = Path(__file__).resolve().parents[1]
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_SECONDS = 180.0  # a first start makes two databases: half a minute on two busy cores

_say = Console(stderr=True, highlight=False).print


class _Service(NamedTuple):  # a process of the stack, leader of its own process group
    name: str
    process: "subprocess.Popen[bytes]"
    log: Path


_Start = Callable[..., _Service]


def serve() -> None:
    """Run the Prefect server, the MLflow server and a worker until Ctrl-C or SIGTERM.

    Raises:
        ValueError: they are up already, or a port is taken.
        OSError: one of them does not start, or ends by itself.
    """
    home = settings().home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home), _stoppable():
        servers = Servers(
            pid=os.getpid(),
            prefect=f"http://127.0.0.1:{settings().prefect_port}",
            mlflow=f"http://127.0.0.1:{settings().mlflow_port}",
        )
        _refuse_taken_ports()
        try:
            with _supervised(_environment(servers), home / "logs") as start:
                _watch(_start_all(start, servers, home))
        except KeyboardInterrupt:
            _say("Stopped.")
        finally:
            servers_file().unlink(missing_ok=True)


def _start_all(start: _Start, servers: Servers, home: Path) -> list[_Service]:
    _say(f"Starting the servers over {home} ...")
    prefect = start("prefect", "-m", "prefect", "server", "start", "--host", "127.0.0.1")
    mlflow = start("mlflow", *_mlflow(home))
    _wait(prefect, lambda: _answer(f"{servers.prefect}/api/health"))
    _wait(mlflow, lambda: _answer(f"{servers.mlflow}/health"))
    deploy = start("deploy", "-m", "infra.deploy")
    _wait(deploy, lambda: deploy.process.poll() == 0)
    write_atomically(servers_file(), servers.model_dump_json(indent=2) + "\n")

    name = f"{socket.gethostname()}-{os.getpid()}"
    worker = start("worker", "-m", "prefect", "worker", "start", "--pool", POOL, "--name", name)
    workers = f"{servers.prefect}/api/work_pools/{POOL}/workers/filter"
    _wait(worker, lambda: name in [row["name"] for row in _answer(workers, body={}) or []])
    _say(_table(servers, home))
    return [prefect, mlflow, worker]


def _mlflow(home: Path) -> list[str]:
    (artifacts := home / "mlflow" / "artifacts").mkdir(parents=True, exist_ok=True)
    places = ["--backend-store-uri", f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"]
    places += ["--default-artifact-root", artifacts.as_uri(), "--no-serve-artifacts"]
    address = ["--host", "127.0.0.1", "--port", str(settings().mlflow_port), "--workers", "1"]
    return ["-m", "mlflow", "server", *address, *places, "--uvicorn-opts", "--log-level warning"]


def _environment(servers: Servers) -> dict[str, str]:
    """Return the environment of every process of the stack, and so of the runs of the worker."""
    origins = servers.prefect, servers.prefect.replace("127.0.0.1", "localhost")
    path = str(_CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])
    return {
        **quiet_environment(),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",  # a new schedule shows its runs
        **os.environ,
        "BLOOMERY_HOME": str(settings().home.resolve()),
        "BLOOMERY_PROJECT": str(settings().project.resolve()),
        "PREFECT_API_URL": f"{servers.prefect}/api",
        "PREFECT_SERVER_API_PORT": str(settings().prefect_port),
        # the default lets any page that is open in the browser start runs
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PYTHONPATH": os.pathsep.join(path),  # runs of the worker begin in an empty folder
    }


@contextmanager
def _alone(home: Path) -> Generator[None]:
    """Hold the lock of the stack over `home`; the system lets go of it if this process dies."""
    lock = FileLock(home / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        found = running_servers()
        where = f"Prefect {found.prefect}, MLflow {found.mlflow}." if found else "It is starting."
        raise ValueError(f"The stack over {home} is already up. {where}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stoppable() -> Generator[None]:
    """Make SIGTERM and a closed terminal the same as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_taken_ports() -> None:
    for field, port in (
        ("BLOOMERY_PREFECT_PORT", settings().prefect_port),
        ("BLOOMERY_MLFLOW_PORT", settings().mlflow_port),
    ):
        if (holder := port_holder(port)) is not None:
            raise ValueError(
                f"Port {port} is taken by {holder}. End it, or set {field} to another."
            )


@contextmanager
def _supervised(environment: dict[str, str], logs: Path) -> Generator[_Start]:
    """Give a function that starts a service; every one is stopped, last first, at the end.

    A janitor stops them, in a session of its own, so that they are also stopped if this process
    is killed.
    """
    logs.mkdir(exist_ok=True)
    services = list[_Service]()
    janitor = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("janitor.py"))],
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    groups = janitor.stdin
    assert groups is not None

    def start(name: str, *arguments: str) -> _Service:
        log = logs / f"{name}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=_CHECKOUT,
                env=environment,
                start_new_session=True,
            )
        groups.write(f"{process.pid}\n")
        groups.flush()
        services.append(_Service(name, process, log))
        return services[-1]

    try:
        yield start
    finally:
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C does not stop the stopping
        groups.close()
        while janitor.poll() is None:
            for service in services:
                service.process.poll()  # a process that nobody waits for never goes away
            time.sleep(0.1)


def _wait(service: _Service, ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not ready():
        if service.process.poll():
            raise _broken(service)
        if time.monotonic() > deadline:
            raise _broken(service)
        time.sleep(0.2)


def _watch(services: list[_Service]) -> None:
    while all(service.process.poll() is None for service in services):
        time.sleep(1.0)
    raise _broken(next(each for each in services if each.process.poll() is not None))


def _broken(service: _Service) -> OSError:
    code = service.process.poll()
    what = "does not get ready" if code is None else f"ended with code {code}"
    tail = "\n".join(service.log.read_text("utf-8", "replace").splitlines()[-15:])
    return OSError(f"{service.name} {what}. The end of {service.log}:\n{tail}")


def _answer(url: str, body: object | None = None) -> Any:
    """Return the JSON (or a true value) that a server of ours answers, None if it does not."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            text = reply.read()
            return json.loads(text) if "json" in reply.headers["Content-Type"] else True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def _table(servers: Servers, home: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    runs = (
        f"{servers.mlflow}/#/experiments?workflowType=machine_learning"  # not MLflow's GenAI face
    )
    table.add_row("Prefect", servers.prefect, "start, schedule and watch runs")
    table.add_row("MLflow", runs, "compare runs, find models")
    table.add_row("API", f"{servers.prefect}/docs", "the same by REST")
    table.add_row("Logs", str(home / "logs"), "Ctrl-C stops everything")
    return table
