"""The log of a flow run: Prefect's lines of it and of the flows in it, else what it printed."""

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.core.artifacts.base import Frozen
from components.core.servers.calls import call
from components.core.servers.databases import prefect_database
from components.core.servers.endpoints import running_servers
from components.core.settings import settings

_PAGE = 200  # what Prefect gives at once
_PAUSE = 1.0  # seconds between two looks at a log that is followed
_LATE = 3.0  # seconds after its end in which a run's last lines reach Prefect
_QUERY = """
WITH RECURSIVE tree(id) AS (
    SELECT ?
    UNION
    SELECT flow_run.id FROM flow_run
    JOIN task_run ON flow_run.parent_task_run_id = task_run.id
    JOIN tree ON task_run.flow_run_id = tree.id
)
SELECT timestamp, level, name, message FROM log
WHERE flow_run_id IN (SELECT id FROM tree) ORDER BY timestamp
"""


class LogLine(Frozen):
    """A line of a log."""

    time: datetime | None
    """When, UTC; None for what was only printed."""
    level: str
    """`INFO`, `WARNING`, `ERROR`; empty for what was only printed."""
    logger: str
    """Who says it."""
    message: str
    """What is said, with the traceback of an error."""


def output_file(run_id: str) -> Path:
    """Return the file of what a run prints under a worker."""
    return settings().runs / run_id / "output.log"


def log_of(run_id: str) -> list[LogLine]:
    """Return the log of a flow run, in the order of time.

    Raises:
        OSError: the server does not answer.
    """
    return list(_of_prefect(run_id)) or list(_printed(run_id))


def followed(run_id: str, is_going: Callable[[], bool]) -> Iterator[LogLine]:
    """Yield the log of a flow run as it grows, until it `is_going` no more.

    Raises:
        OSError: the server does not answer.
    """
    told = Counter[LogLine]()
    last_look = None
    while last_look is None or time.monotonic() < last_look:
        if last_look is None and not is_going():
            last_look = time.monotonic() + _LATE
        lines = Counter(log_of(run_id))
        yield from (lines - told).elements()
        told |= lines
        time.sleep(_PAUSE)


def _of_prefect(run_id: str) -> Iterator[LogLine]:
    if (servers := running_servers()) is not None:
        yield from _asked(f"{servers.prefect}/api", run_id)
        return
    database = settings().home.resolve() / "prefect" / "prefect.db"
    if prefect_database() is None and database.exists():
        yield from _read(database, run_id)


def _asked(api: str, run_id: str) -> Iterator[LogLine]:
    tree, level = [run_id], [run_id]
    while level:
        inside = {"flow_runs": {"parent_flow_run_id": {"any_": level}}}
        level = [run["id"] for run in _pages(f"{api}/flow_runs/filter", inside)]
        tree += level
    wanted = {"logs": {"flow_run_id": {"any_": tree}}, "sort": "TIMESTAMP_ASC"}
    for row in _pages(f"{api}/logs/filter", wanted):
        time = datetime.fromisoformat(row["timestamp"])
        yield _line(time, row["level"], row["name"], row["message"])


def _pages(url: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        rows: list[dict[str, Any]] = call(url, {**body, "limit": _PAGE, "offset": offset})
        yield from rows
        if len(rows) < _PAGE:
            return
        offset += _PAGE


def _read(database: Path, run_id: str) -> Iterator[LogLine]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(_QUERY, (run_id,)).fetchall()
    for said, level, name, message in rows:
        yield _line(datetime.fromisoformat(said).replace(tzinfo=UTC), level, name, message)


def _line(time: datetime, level: int, name: str, message: str) -> LogLine:
    return LogLine(
        time=time, level=logging.getLevelName(level), logger=name, message=message.rstrip()
    )


def _printed(run_id: str) -> Iterator[LogLine]:
    file = output_file(run_id)
    if file.exists():
        for line in file.read_text("utf-8", errors="replace").splitlines():
            yield LogLine(time=None, level="", logger="", message=line)
