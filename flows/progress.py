"""What a person sees while a step works: a bar in a terminal, lines elsewhere, a bar in Prefect."""

import logging
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import LogCreate
from prefect.runtime import flow_run, task_run
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from components.core.tracking import spool
from dashboards.text.made import made
from flows.links import artifact_key, link_to_mlflow

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 1.0
_UPDATE_EVERY_SECONDS = 10.0  # in Prefect, where a percent may be an hour
_PATIENCE_SECONDS = 10.0  # for a link; without MLflow there is none
_LINE_EVERY_SHARE = 0.2  # without a terminal, a line at every fifth of the work
_SHOWN = ("loss", "validation_bits_per_byte", "tokens_per_second")


@contextmanager
def shown(name: str, out: Path) -> Generator[None]:
    """Show the spool of `out` while the block works, and at its end what it made."""
    if before := _share_done(out):
        logger.info("%-20s goes on, %.0f %% was done", name, 100 * before)
    done, start = threading.Event(), time.monotonic()
    artifact = _begin(name)
    show = _show_bar if sys.stderr.isatty() else _show_lines
    viewer = threading.Thread(target=show, args=(name, out, done), name="progress", daemon=True)
    prefect = threading.Thread(target=_update, args=(artifact, out, done), daemon=True)
    here = str(flow_run.id), str(task_run.id)
    links = threading.Thread(target=link_to_mlflow, args=(name, out, *here, done), daemon=True)
    for thread in (viewer, prefect, links):
        thread.start()
    try:
        yield
    finally:
        done.set()
        viewer.join()
        links.join(_PATIENCE_SECONDS)
    _tell(artifact, 100.0)
    _say(name, f"{time.monotonic() - start:.1f} s", made(out))


def say_cached(name: str, out: Path | None = None) -> None:
    """Say that a step had nothing to do, and what there is."""
    _say(name, "cached", made(out) if out else "")


def _say(name: str, took: str, what: str) -> None:
    """Say how a step ended, once in the terminal and once on the page of the whole flow run.

    Left to logging, Prefect would show it on the page of the inner flow alone.
    """
    terminal = {"send_to_api": False}
    logger.info("%-20s %9s  %s", name, took, what, extra=terminal)
    if flow_run.id is None:
        return
    about = dict[str, Any](
        name="flows.progress",
        level=logging.INFO,
        message=f"{name}: {', '.join(filter(None, [what, took]))}",
        timestamp=datetime.now(UTC),
        flow_run_id=UUID(str(flow_run.root_flow_run_id)),
    )
    try:
        with get_client(sync_client=True) as prefect:
            prefect.create_logs([LogCreate.model_validate(about)])
    except Exception as error:
        logger.debug("Prefect has no line about %s (%s)", name, error)


def say_waiting(what: str, url: str) -> None:
    """Say that a run goes on once a person has acted, and where."""
    logger.info("%-20s  waits for you: %s", what, url)


def _share_done(out: Path) -> float:
    """Return the share of the work that attempts before this one came to."""
    shares = [point["metrics"].get("progress", 0.0) for _, point in spool.read(out)]
    return max(shares, default=0.0)


def _points(out: Path, done: threading.Event) -> Iterator[tuple[float, str]]:
    """Yield (share of the work, description) each time the spool has grown, until `done`."""
    offset, share, latest = 0, 0.0, dict[str, float]()
    while not done.wait(_LOOK_EVERY_SECONDS):
        points = list(spool.read(out, offset))
        for _, point in points:
            share = point["metrics"].get("progress", share)
            latest |= {k: v for k, v in point["metrics"].items() if k in _SHOWN}
        if points:
            offset = points[-1][0]
            yield share, ", ".join(f"{k} {v:,.4g}" for k, v in latest.items())


def _show_bar(name: str, out: Path, done: threading.Event) -> None:
    columns = TextColumn("{task.fields[name]:24}"), BarColumn(), TimeElapsedColumn()
    text = TextColumn("{task.description}")
    console = Console(stderr=True)
    with Progress(*columns, text, console=console, transient=True) as bar:
        task = bar.add_task("", name=name, total=None)
        for share, description in _points(out, done):
            bar.update(task, description=description, total=1.0, completed=share)


def _show_lines(name: str, out: Path, done: threading.Event) -> None:
    next_line = _LINE_EVERY_SHARE
    for share, description in _points(out, done):
        if share >= next_line:
            logger.info("%-20s %5.0f %%    %s", name, 100 * share, description)
            next_line = share + _LINE_EVERY_SHARE


def _begin(name: str) -> UUID | None:
    """Make the bar in Prefect; a server that is away just now costs the step its bar."""
    try:
        artifact = create_progress_artifact(0.0, key=artifact_key(name), description=name)
    except Exception as error:
        logger.warning("Prefect shows no progress of %s (%s)", name, error)
        return None
    return UUID(str(artifact))


def _tell(artifact: UUID | None, percent: float) -> bool:
    """Move the bar in Prefect, if it is there and its server too; return whether it moved."""
    if artifact is None:
        return False
    try:
        update_progress_artifact(artifact, percent)
    except Exception as error:
        logger.debug("Prefect's bar does not move: %s", error)
        return False
    return True


def _update(artifact: UUID | None, out: Path, done: threading.Event) -> None:
    shown_share, last = 0.0, time.monotonic()
    for share, _ in _points(out, done):
        is_due = time.monotonic() > last + _UPDATE_EVERY_SECONDS
        if share >= shown_share + 0.02 or (share > shown_share and is_due):
            shown_share = share if _tell(artifact, 100 * share) else shown_share
            last = time.monotonic()
