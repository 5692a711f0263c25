"""`bloomery up`: the servers of one machine, from the command to Ctrl-C or `bloomery down`.

All listen on 127.0.0.1 and use the databases under `settings().home` that runs without servers use.
A service that dies is started again; all are stopped however this process ends.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from filelock import FileLock, Timeout
from rich.console import Console
from rich.live import Live
from rich.table import Table

from components.core import disk
from components.core.files import write_atomically
from components.core.servers.access import refuse_open_doors
from components.core.servers.databases import refuse_dead_databases
from components.core.servers.endpoints import Servers, servers_file
from components.core.settings import settings
from components.core.tracking.moved import follow_home
from infra import janitor, services, status, templates
from infra.ports import port_holder
from infra.reaper import SWEEP_EVERY_SECONDS, Reaper
from infra.supervisor import STOPPING, Supervisor, supervised
from infra.worker import registered

_STOP_SECONDS = 90.0

_console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 160)


def serve(with_ray: bool = False, models: Sequence[str] = ()) -> None:
    """Run the servers and a worker, and a warm Ray head if wanted, until they are told to stop.

    `models` are served too, as `bloomery serve` does.

    Raises:
        ValueError: they are up already, a port is taken, a server would be open to all, or a
            database does not answer.
        OSError: one of them does not start, or the disk is full.
    """
    refuse_open_doors()
    refuse_dead_databases()
    follow_home()
    home = settings().home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    disk.require_room(home, disk.LEAST, "the stack")
    with _alone(home), _stoppable():
        if num := janitor.stop_marked(str(home)):
            _console.print(f"Stopped {num} processes that an earlier stack left.")
        for left in (servers_file(), registered()):  # one that was killed leaves them
            left.unlink(missing_ok=True)
        servers = services.addresses(with_ray, bool(models))
        _refuse_taken_ports(servers)
        try:
            environment = {**services.environment(servers, home), **templates.begin_databases()}
            with supervised(environment, home) as supervisor:
                _start_all(supervisor, servers, home, models)
                _watch(supervisor, servers, home)
        except KeyboardInterrupt:
            _console.print("Stopped.")
        finally:
            servers_file().unlink(missing_ok=True)
            registered().unlink(missing_ok=True)
            status.file().unlink(missing_ok=True)


def stop() -> bool:
    """Stop the stack over this home from another terminal; return whether there was one.

    Raises:
        OSError: it does not stop.
    """
    home = settings().home.resolve()
    found = status.read()
    if found is not None and _is_held(home):
        os.kill(found.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while _is_held(home):
            if time.monotonic() > deadline:
                raise OSError(f"Process {found.pid} does not stop: see {home / 'logs'}")
            time.sleep(0.2)
        return True
    return janitor.stop_marked(str(home)) > 0


def _start_all(supervisor: Supervisor, servers: Servers, home: Path, models: Sequence[str]) -> None:
    _console.print(f"Starting the servers over {home} ...")
    wanted = [services.prefect(servers), services.mlflow(servers), services.worker(servers)]
    if servers.ray is not None:
        wanted.append(services.ray(servers))
    if servers.dashboard is not None:
        wanted.append(services.dashboard(servers))
    if servers.serving is not None:
        wanted.append(services.serving(servers, models))
    prefect, mlflow, worker, *others = map(supervisor.start, wanted)
    status.write(supervisor.processes, servers)
    supervisor.wait(prefect)
    status.write(supervisor.processes, servers)
    Reaper(servers).sweep(at_start=True)  # while no worker is there
    supervisor.wait(mlflow)
    status.write(supervisor.processes, servers)
    supervisor.wait(worker, until=registered().exists)
    write_atomically(servers_file(), servers.model_dump_json(indent=2) + "\n")  # the worker's word
    for process in (*others, worker):
        supervisor.wait(process)
        status.write(supervisor.processes, servers)


def _watch(supervisor: Supervisor, servers: Servers, home: Path) -> None:
    threading.Thread(target=_reap, args=(Reaper(servers),), name="reaper", daemon=True).start()
    status.write(supervisor.processes, servers)
    if _console.is_terminal:
        with Live(get_renderable=lambda: _table(home), console=_console, refresh_per_second=0.5):
            _attend(supervisor, servers)
    else:
        _console.print(_table(home))
        _attend(supervisor, servers)


def _table(home: Path) -> Table:
    return status.table(status.now(), home)


def _attend(supervisor: Supervisor, servers: Servers) -> NoReturn:
    while True:
        time.sleep(1.0)
        if happened := supervisor.attend():
            status.write(supervisor.processes, servers)
        for event in happened:
            _console.print(f"{time.strftime('%H:%M:%S')} {event}")


def _reap(reaper: Reaper) -> None:
    pause = threading.Event()
    while not pause.wait(SWEEP_EVERY_SECONDS):
        try:
            reaper.sweep()
        except (OSError, ValueError):
            continue  # a server is away; the supervisor says so


@contextmanager
def _alone(home: Path) -> Generator[None]:
    """Hold the lock of the stack over `home`; the system lets go of it if this process dies."""
    lock = _lock(home)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        found = status.read()
        urls = [f"{each.name} {each.url}" for each in found.services if each.url] if found else []
        where = ", ".join(urls) or "It is starting"
        raise ValueError(f"The stack over {home} is already up. {where}.") from error
    try:
        yield
    finally:
        lock.release()


def _lock(home: Path) -> FileLock:
    return FileLock(home / "up.lock")


def _is_held(home: Path) -> bool:
    """Return whether a supervisor is at work over `home`."""
    lock = _lock(home)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def _stoppable() -> Generator[None]:
    """Make SIGTERM and a closed terminal the same as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_taken_ports(servers: Servers) -> None:
    wanted = {"BLOOMERY_PREFECT_PORT": settings().prefect_port}
    wanted["BLOOMERY_MLFLOW_PORT"] = settings().mlflow_port
    if servers.dashboard is not None:
        wanted["BLOOMERY_DASHBOARD_PORT"] = settings().dashboard_port
    if servers.serving is not None:
        wanted["BLOOMERY_SERVING_PORT"] = settings().serving_port
    if servers.ray is not None:
        wanted["BLOOMERY_RAY_PORT"] = settings().ray_port
    for field, port in wanted.items():
        if (holder := port_holder(port)) is not None:
            raise ValueError(
                f"Port {port} is taken by {holder}. End it, or set {field} to another."
            )
