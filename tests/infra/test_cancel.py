"""A run that people cancel while Ray starts: it ends at once, says what is true, leaves nothing."""

from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from components.core.processes.preemption import saved_step
from tests import browser, small_project
from tests.infra.stacks import FINAL, Stack, end, environment, ready, until

pytestmark = [pytest.mark.slow, pytest.mark.prove, pytest.mark.ray]

_PATIENCE_SECONDS = 30  # Prefect kills what has not ended by then


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose trainings start a Ray of their own, and the data that they need."""
    folder = tmp_path_factory.mktemp("cancel")
    project = str(small_project.make_to_run(folder / "project"))
    ours = {"BLOOMERY_RAY_ADDRESS": "local", "BLOOMERY_PROJECT": project}
    started = ready(environment(folder / "home", **ours))
    try:
        made = started.command("trigger", "data", "--recipe", "smoke", "--wait")
        assert made.returncode == 0, made.stdout + made.stderr
        yield started
    finally:
        end(started)


def _processes(run: str) -> list[psutil.Process]:
    """Return every process that a flow run has started, and its own."""
    return [each for each in psutil.process_iter() if _run_of(each) == run]


def _run_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID")
    except psutil.Error:
        return None


def _command_lines(processes: list[psutil.Process]) -> str:
    lines = list[str]()
    for process in processes:
        try:
            lines += process.cmdline()
        except psutil.Error:  # it has ended
            continue
    return " ".join(lines)


def _checkpoint(stack: Stack) -> int | None:
    (out,) = stack.home.glob("artifacts/pretrain.train/*/[!.]*")
    return saved_step(out)


def _start(stack: Stack) -> dict[str, Any]:
    long = {"pretrain.training.num_steps": 100_000}
    status, run = stack.start("pretrain", {"recipe": "smoke", "set": long})
    assert status == 201
    return run


def _come_to(stack: Stack, run: str, moment: str) -> list[psutil.Process]:
    """Wait until a run has come so far, and return its processes."""
    until(lambda: moment in _command_lines(_processes(run)), 120)
    assert stack.state(run) == "RUNNING"
    return _processes(run)


@pytest.mark.parametrize("moment", ["processes.driver", "gcs_server", "raylet"])
def test_a_run_that_is_cancelled_while_ray_starts_ends_with_the_truth_and_no_process(
    stack: Stack, moment: str
) -> None:
    run = _start(stack)["id"]
    begun = _come_to(stack, run, moment)
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert stack.call(f"/flow_runs/{run}/set_state", cancelling)[0] == 201
    _require_truth(stack, run, begun)


@pytest.mark.skipif(not browser.is_there(), reason="There is no browser.")
def test_a_run_is_cancelled_while_ray_starts_by_clicking_alone(stack: Stack) -> None:
    with browser.opened() as page:
        run = _start(stack)
        page.goto(stack.prefect)
        page.get_by_role("link", name="Runs", exact=True).first.click()
        page.locator(f"a[href*='{run['id']}']").first.click()  # its name changes as it begins
        page.get_by_text("Running", exact=True).first.wait_for()
        page.get_by_role("button", name="Open menu").first.click()
        page.get_by_role("menuitem", name="Cancel", exact=True).click()
        button = page.get_by_role("button", name="Cancel Flow Run", exact=True)
        button.wait_for()
        begun = _come_to(stack, run["id"], "processes.driver")
        button.click()
        _require_truth(stack, run["id"], begun)


def _require_truth(stack: Stack, run: str, begun: list[psutil.Process]) -> None:
    """See that a run ends, says whether there is a checkpoint, and leaves no process."""
    until(lambda: stack.state(run) in FINAL, _PATIENCE_SECONDS)
    assert stack.state(run) == "CANCELLED"
    step = _checkpoint(stack)
    true = f"Preempted after step {step}." if step else "Preempted before there was a checkpoint."
    until(lambda: not psutil.wait_procs(begun, timeout=1)[1], 60)
    until(lambda: not _processes(run), 60)  # the worker's, too, which looks for hooks
    ended = stack.call(f"/flow_runs/{run}")[1]
    log = stack.home / "logs" / "worker.log"
    until(lambda: f"Cancelled flow run '{ended['name']}'" in log.read_text("utf-8"), 60)
    state = stack.call(f"/flow_runs/{run}")[1]["state"]
    assert state["name"] == "Preempted"
    assert true in state["message"], "the worker has written over it"
