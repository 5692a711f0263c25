"""What a person sees while a step works: a bar in a terminal, lines elsewhere, a bar in Prefect."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate, LogCreate
from prefect.context import SyncClientContext
from prefect.runtime import flow_run, task_run
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from components.core.tracking import spool
from dashboards.text.made import made
from flows.links import artifact_key, link_to_mlflow
from flows.origin import outermost_run

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 1.0
_UPDATE_EVERY_SECONDS = 10.0  # in Prefect, where a percent may be an hour
_PATIENCE_SECONDS = 10.0  # with Prefect, once a step is done
_LINE_EVERY_SHARE = 0.2  # without a terminal, a line at every fifth of the work
_SHOWN = ("loss", "validation_bits_per_byte", "tokens_per_second")


@contextmanager
def shown(name: str, out: Path) -> Generator[None]:
    """Show the spool of `out` while the block works, and at its end what it made."""
    if before := _share_done(out):
        logger.info("%-20s goes on, %.0f %% was done", name, 100 * before)
    done, start = threading.Event(), time.monotonic()
    page = _Page(name, out, str(flow_run.id), str(task_run.id))
    show = _show_bar if sys.stderr.isatty() else _show_lines
    try:
        with _meanwhile(done, lambda: show(name, out, done), lambda: page.follow(done)):
            yield
    except BaseException:
        _in_time(page.leave)
        raise
    page.link()
    page.tell(100.0)
    _say(name, f"{time.monotonic() - start:.1f} s", made(out))


@contextmanager
def _meanwhile(done: threading.Event, *calls: Callable[[], None]) -> Generator[None]:
    """Make calls that end at `done`, which the end of the block sets, while it works."""
    threads = [threading.Thread(target=call, name="progress", daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(_PATIENCE_SECONDS)


def _in_time(call: Callable[[], None]) -> None:
    """Make a call for which a step that has to leave cannot wait long."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)


def say_cached(name: str, out: Path | None = None) -> None:
    """Say that a step had nothing to do, and what there is."""
    _say(name, "cached", made(out) if out else "")


def _say(name: str, took: str, what: str) -> None:
    """Say how a step ended, once in the terminal and once on the page of the whole flow run.

    Left to logging, Prefect would show it on the page of the inner flow alone.
    """
    terminal = {"send_to_api": False}
    logger.info("%-20s %9s  %s", name, took, what, extra=terminal)
    if (run := outermost_run()) is None:
        return
    about = dict[str, Any](
        name="flows.progress",
        level=logging.INFO,
        message=f"{name}: {', '.join(filter(None, [what, took]))}",
        timestamp=datetime.now(UTC),
        flow_run_id=UUID(run),
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


def _read_share(out: Path, offset: int, share: float) -> tuple[int, float]:
    """Return how far the spool of `out` was read, and the share of the work that it says."""
    points = list(spool.read(out, offset))
    shares = [point["metrics"]["progress"] for _, point in points if "progress" in point["metrics"]]
    return (points[-1][0] if points else offset), (shares[-1] if shares else share)


class _Page:
    """What Prefect shows of one step; a server that is away just now costs the step no more."""

    def __init__(self, name: str, out: Path, flow_run: str, task_run: str) -> None:
        """Show the step `name`, which works in `out`, as this task run of this flow run."""
        self._name, self._out = name, out
        self._flow_run, self._task_run = flow_run, task_run
        self._bar: UUID | None = None
        self._is_linked = False

    def follow(self, done: threading.Event) -> None:
        """Keep the page up to date until `done`; a step of a second gets it all at its end.

        All goes over one connection: outside of a flow's thread Prefect opens one for each call.
        """
        if done.wait(_LOOK_EVERY_SECONDS):
            return
        with SyncClientContext.get_or_create():
            offset, share, shown, last = 0, 0.0, 0.0, time.monotonic()
            self.tell(0.0)
            while not done.wait(_LOOK_EVERY_SECONDS):
                self.link()
                offset, share = _read_share(self._out, offset, share)
                is_due = time.monotonic() > last + _UPDATE_EVERY_SECONDS
                if share >= shown + 0.02 or (share > shown and is_due):
                    shown = share if self.tell(100 * share) else shown
                    last = time.monotonic()

    def leave(self) -> None:
        """Show of a step that broke off what there is."""
        self.link()
        if self._bar is None:
            self.tell(0.0)

    def link(self) -> None:
        """Link the run in MLflow, once that is open."""
        if not self._is_linked:
            told = self._name, self._out, self._flow_run, self._task_run
            self._is_linked = link_to_mlflow(*told)

    def tell(self, percent: float) -> bool:
        """Move the bar, or make it; return whether it is there now."""
        try:
            with get_client(sync_client=True) as prefect:
                if self._bar is None:
                    self._bar = prefect.create_artifact(self._begun(percent)).id
                else:
                    prefect.update_artifact(self._bar, ArtifactUpdate(data=percent))
        except Exception as error:
            logger.debug("Prefect's bar of %s does not move: %s", self._name, error)
            return False
        return True

    def _begun(self, percent: float) -> ArtifactCreate:
        return ArtifactCreate(
            type="progress",
            key=artifact_key(self._name),
            description=self._name,
            data=percent,
            flow_run_id=UUID(self._flow_run),
            task_run_id=UUID(self._task_run),
        )
