"""How fast the dashboard's pages open as runs gather, beside the servers' own lists of runs.

`python -m tests.benchmarks dashboard`; `BLOOMERY_BENCH_RUNS=10,1000` are the sizes. Each size has a
stack of its own, of which the start and the memory at rest are measured too. A page is opened in a
browser until it has nothing more to draw, some seconds after what was read last may be shown again.
"""

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from components.core.settings import settings
from tests import browser, small_project
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work
from tests.dashboards import store
from tests.infra.stacks import Stack, end, environment, ready

if TYPE_CHECKING:
    from playwright.sync_api import Page

_RUNS = "10,1000"
_ROUNDS = 3
_FORGOTTEN_SECONDS = 16.0  # the dashboard shows what it has read for 15 s
_REST_SECONDS = 20.0
_MLFLOW_LIST = "#/experiments/1/runs"


def run(work: Work) -> list[Row]:
    """Measure, show the tables and return the rows."""
    sizes = [int(size) for size in os.environ.get("BLOOMERY_BENCH_RUNS", _RUNS).split(",")]
    rows = [row for size in sizes for row in _measure(work, size)]
    show("Pages: median seconds until all is drawn, by the number of runs in the store", rows)
    return rows


def _measure(work: Work, num_runs: int) -> list[Row]:
    """Return the seconds of every page over a store with so many runs."""
    folder = work.out / str(num_runs)
    project = small_project.make_to_run(folder / "project")
    start = time.perf_counter()
    stack = ready(environment(folder / "home", BLOOMERY_PROJECT=str(project)))
    started = time.perf_counter() - start
    try:
        time.sleep(_REST_SECONDS)
        say(f"started in {started:.1f} s, at rest {_memory(stack) / (1 << 20):.0f} MiB")
        fill(stack, num_runs)
        stack.command("trigger", "data", "--recipe", "smoke", "--wait")
        return _opened(stack, num_runs)
    finally:
        end(stack)


def _memory(stack: Stack) -> int:
    """Return the memory of all processes of a stack; what they share counts once (PSS)."""
    root = psutil.Process(stack.process.pid)
    return sum(each.memory_full_info().pss for each in [root, *root.children(recursive=True)])


def fill(stack: Stack, num_runs: int) -> None:
    """Leave so many runs in MLflow, of pipelines and their steps, and so many flow runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLOOMERY_TRACKING_URI", f"sqlite:///{stack.home}/mlflow/mlflow.db")
        patch.setenv("BLOOMERY_HOME", str(stack.home))
        settings.cache_clear()
        store.train(store.origin("base"), "base", num_steps=1000)
        for number in range(num_runs // 2):
            store.pipeline(f"run-{number}", "base", beta=0.1 + number / num_runs)
    settings.cache_clear()
    flow = stack.deployment("data")["flow_id"]
    for number in range(num_runs):
        at = (datetime.now(UTC) - timedelta(minutes=num_runs - number)).isoformat()
        state = {"type": "COMPLETED", "name": "Completed", "timestamp": at}
        stack.call("/flow_runs/", {"flow_id": flow, "name": f"old-{number}", "state": state})


def _opened(stack: Stack, num_runs: int) -> list[Row]:
    dashboard = f"http://127.0.0.1:{stack.environment['BLOOMERY_DASHBOARD_PORT']}"
    seconds: dict[str, list[float]] = {}
    with browser.opened() as page:
        pages = _pages(page, stack, dashboard)
        for open_page in pages.values():  # what is imported at the first visit is not measured
            open_page()
        for _ in range(_ROUNDS):
            time.sleep(_FORGOTTEN_SECONDS)
            for name, open_page in pages.items():
                start = time.perf_counter()
                open_page()
                seconds.setdefault(name, []).append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        {
            "page": name,
            "runs": num_runs,
            "seconds": round(median, 2),
            "of MLflow's list": round(median / medians["MLflow's own list"], 2),
        }
        for name, median in medians.items()
    ]


def _pages(page: "Page", stack: Stack, dashboard: str) -> dict[str, Callable[[], Any]]:
    def own(name: str) -> Callable[[], None]:
        return lambda: browser.open_dashboard(page, dashboard, name)

    def mlflow() -> None:
        page.goto("about:blank")
        page.goto(f"{stack.mlflow}/{_MLFLOW_LIST}")
        page.get_by_text("matching runs").wait_for()

    def prefect() -> None:
        page.goto("about:blank")
        page.goto(f"{stack.prefect}/runs")
        page.locator("a[href*='/runs/flow-run/']").first.wait_for()

    listed = {name: own(name) for name in browser.DASHBOARD}
    return {**listed, "MLflow's own list": mlflow, "Prefect's own list": prefect}
