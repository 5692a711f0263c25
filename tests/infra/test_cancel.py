"""A run that people cancel while Ray starts: it ends at once, says what is true, leaves nothing."""

from collections.abc import Iterator

import psutil
import pytest

from components.core.processes.preemption import saved_step
from tests import small_project
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


@pytest.mark.parametrize("moment", ["processes.driver", "gcs_server", "raylet"])
def test_a_run_that_is_cancelled_while_ray_starts_ends_with_the_truth_and_no_process(
    stack: Stack, moment: str
) -> None:
    long = {"pretrain.training.num_steps": 100_000}
    status, run = stack.start("pretrain", {"recipe": "smoke", "set": long})
    assert status == 201
    until(lambda: moment in _command_lines(_processes(run["id"])), 120)
    assert stack.state(run["id"]) == "RUNNING"
    begun = _processes(run["id"])
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert stack.call(f"/flow_runs/{run['id']}/set_state", cancelling)[0] == 201
    until(lambda: stack.state(run["id"]) in FINAL, _PATIENCE_SECONDS)
    assert stack.state(run["id"]) == "CANCELLED"

    step = _checkpoint(stack)
    true = f"Preempted after step {step}." if step else "Preempted before there was a checkpoint."
    until(lambda: not psutil.wait_procs(begun, timeout=1)[1], 60)
    until(lambda: not _processes(run["id"]), 60)  # the worker's, too, which looks for hooks
    ended = stack.call(f"/flow_runs/{run['id']}")[1]
    log = stack.home / "logs" / "worker.log"
    until(lambda: f"Cancelled flow run '{ended['name']}'" in log.read_text("utf-8"), 60)
    state = stack.call(f"/flow_runs/{run['id']}")[1]["state"]
    assert state["name"] == "Preempted"
    assert true in state["message"], "the worker has written over it"
