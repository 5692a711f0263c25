"""What is up: written by the supervisor, read by `bloomery status` and by a second `up`."""

from collections.abc import Sequence
from pathlib import Path

import psutil
from pydantic import ValidationError
from rich.table import Table

from components.core.artifacts.base import Frozen
from components.core.files import write_atomically
from components.core.servers.endpoints import Servers
from components.core.settings import settings
from infra.supervisor import Process

_MIB = 1 << 20
_COLOURS = {"up": "green", "starting": "yellow", "silent": "yellow", "down": "red"}


class ServiceStatus(Frozen):
    """One service."""

    name: str
    """What people call it."""
    state: str
    """`up`, `starting`, `silent` if it does not answer, or `down` until it is started again."""
    url: str
    """What people open; empty if nothing."""
    what: str
    """What they do there."""
    pid: int
    """Leader of its processes."""
    num_restarts: int
    """How often it was started again."""
    memory_mib: float = 0.0
    """Resident memory of its processes, shared pages counted once in each, MiB."""


class Status(Frozen):
    """The stack of this machine."""

    pid: int
    """Process that supervises it."""
    services: tuple[ServiceStatus, ...]
    """In the order of their start."""
    servers: Servers
    """Where they answer."""

    @property
    def is_healthy(self) -> bool:
        """Whether every service is up."""
        return all(service.state == "up" for service in self.services)


def file() -> Path:
    """Return the file that says what the supervisor has started."""
    return settings().home.resolve() / "stack.json"


def write(processes: Sequence[Process], servers: Servers) -> None:
    """Note the state of every service."""
    found = [
        ServiceStatus(
            name=process.service.name,
            state=process.state,
            url=process.service.url,
            what=process.service.what,
            pid=process.popen.pid,
            num_restarts=process.num_restarts,
        )
        for process in processes
    ]
    status = Status(pid=servers.pid, services=tuple(found), servers=servers)
    write_atomically(file(), status.model_dump_json(indent=2) + "\n")


def read() -> Status | None:
    """Return what the supervisor wrote, None if none is alive."""
    try:
        status = Status.model_validate_json(file().read_text("utf-8"))
    except (FileNotFoundError, ValidationError):
        return None
    if status.servers.home not in (None, settings().home.resolve()):
        return None  # this home is a copy of the one that they serve
    return status if psutil.pid_exists(status.pid) else None


def now() -> Status | None:
    """Return the state of the stack at this moment, with the memory of each service."""
    if (status := read()) is None:
        return None
    services = tuple(_measured(service) for service in status.services)
    return status.model_copy(update={"services": services})


def _measured(service: ServiceStatus) -> ServiceStatus:
    try:
        leader = psutil.Process(service.pid)
        tree = [leader, *leader.children(recursive=True)]
        if leader.status() == psutil.STATUS_ZOMBIE:
            return service.model_copy(update={"state": "down"})
    except psutil.NoSuchProcess:
        return service.model_copy(update={"state": "down"})
    memory = sum(_resident(process) for process in tree) / _MIB
    return service.model_copy(update={"memory_mib": round(memory, 1)})


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def table(status: Status | None, home: Path) -> Table:
    """Return the live table: each URL ends a line of its own, whole if the terminal has the room.

    The longest, MLflow's, fits into 80 columns.
    """
    table = Table.grid(padding=(0, 2))
    for width in (9, 8, 9):
        table.add_column(no_wrap=True, min_width=width)
    table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    below = list[tuple[str, str]]()
    for each in status.services if status is not None else ():
        state = f"[{_COLOURS[each.state]}]{each.state}[/]"
        again = f", restarted {each.num_restarts} x" if each.num_restarts else ""
        table.add_row(each.name, state, f"{each.memory_mib:,.0f} MiB", f"{each.what}{again}")
        if each.url:
            below.append((each.name, each.url))
    if status is not None:
        below.append(("api", f"{status.servers.prefect}/docs"))
    below.append(("logs", str(home / "logs")))
    whole = Table.grid(padding=(0, 2))
    whole.add_column(no_wrap=True, min_width=9)
    whole.add_column(overflow="fold")
    for name, url in below:
        whole.add_row(name, url)
    both = Table.grid()
    for part in (table, whole, "Ctrl-C or `bloomery down` stops everything"):
        both.add_row(part)
    return both
