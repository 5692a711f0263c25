"""What a run under the worker lives through, and what is said of one that does not.

The tests are one story and run in order: one long training is cancelled, goes on as another run,
loses its worker and both servers, is killed itself, and at last everything is.
"""

import os
import signal
import sqlite3
from typing import Any

import psutil
import pytest

from flows.changes import changed
from flows.recipes import smoke
from tests.infra.stacks import FINAL, Stack, end, ready, until

pytestmark = [pytest.mark.slow, pytest.mark.prove]

_LONG = changed(smoke(), ["pretrain.training.num_steps=100000"]).model_dump(mode="json")


def _train(stack: Stack) -> str:
    """Start the training and return the id of its run once it takes steps."""
    status, run = stack.start("pretrain", {"recipe": _LONG})
    assert status == 201
    before = _last_step(stack)
    until(lambda: stack.state(run["id"]) in FINAL or _last_step(stack) > before + 10, 300)
    assert stack.state(run["id"]) == "RUNNING"
    return run["id"]


def _last_step(stack: Stack) -> int:
    """Return the last step of the training: the one that other tests have not finished."""
    found = stack.home.glob("artifacts/pretrain.train/*/*/metrics.jsonl")
    spools = [file for file in found if not file.with_name("artifact.json").exists()]
    lines = spools[0].read_text("utf-8").split("\n")[:-1] if spools else []
    steps = [line.split('"step": ')[1].split(",")[0] for line in lines if line.strip()]
    return int(steps[-1]) if steps else 0


def _process(stack: Stack, run: str) -> psutil.Process:
    """Return the process that does the run."""
    pid = stack.call(f"/flow_runs/{run}")[1]["infrastructure_pid"]
    return psutil.Process(int(pid))


def _artifacts(stack: Stack, run: str) -> dict[str, Any]:
    """Return what a run and the flows in it show, by key."""
    inside = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
    flows = [run, *(flow["id"] for flow in stack.call("/flow_runs/filter", inside)[1])]
    wanted = {"artifacts": {"flow_run_id": {"any_": flows}}}
    return {row["key"]: row["data"] for row in stack.call("/artifacts/filter", wanted)[1]}


def _mlflow(stack: Stack, query: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(stack.home / "mlflow" / "mlflow.db") as connection:
        return connection.execute(query).fetchall()


def _kill(stack: Stack, *names: str) -> None:
    services = stack.services()
    for name in names:
        os.kill(services[name]["pid"], signal.SIGKILL)
    until(lambda: all(stack.services()[name]["num_restarts"] for name in names), 120)
    until(lambda: all(each["state"] == "up" for each in stack.services().values()), 120)


@pytest.fixture(scope="module")
def cancelled(stack: Stack) -> str:
    """A run that was cancelled as the UI does it, while it trained."""
    run = _train(stack)
    until(lambda: _artifacts(stack, run).get("pretrain-train", 0) > 0, 60)
    until(lambda: {"mlflow", "mlflow-pretrain-train"} <= set(_artifacts(stack, run)), 60)
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert stack.call(f"/flow_runs/{run}/set_state", cancelling)[0] == 201
    until(lambda: stack.state(run) == "CANCELLED", 90)
    return run


def test_a_run_that_people_cancel_keeps_its_last_checkpoint(stack: Stack, cancelled: str) -> None:
    checkpoints = stack.home.glob("artifacts/pretrain.train/*/*/checkpoints/step_*")
    newest = max(int(folder.name.removeprefix("step_")) for folder in checkpoints)
    state = stack.call(f"/flow_runs/{cancelled}")[1]["state"]
    assert state["name"] == "Preempted"
    assert f"Preempted after step {newest}." in state["message"]
    named = "SELECT 1 FROM runs WHERE name LIKE '%pretrain.train' AND status = 'KILLED'"
    assert _mlflow(stack, named)


def test_a_flow_run_and_its_mlflow_run_lead_to_each_other(stack: Stack, cancelled: str) -> None:
    links = _artifacts(stack, cancelled)
    page = f"{stack.prefect}/runs/flow-run/{cancelled}"
    tags = _mlflow(stack, "SELECT run_uuid, value FROM tags WHERE key = 'flow_run_url'")
    back = {run for run, url in tags if url == page}
    for key in ("mlflow", "mlflow-pretrain-train"):
        link = links[key].split("(")[1].split("?")[0]
        assert link.startswith(f"{stack.mlflow}/#/experiments/")
        assert link.rpartition("/")[2] in back


@pytest.fixture(scope="module")
def resumed(stack: Stack, cancelled: str) -> str:
    """A second run of the same recipe."""
    before = _last_step(stack)
    run = _train(stack)
    assert _last_step(stack) > before, "it began again"
    return run


def test_a_run_outlives_its_worker_and_both_servers(stack: Stack, resumed: str) -> None:
    process = _process(stack, resumed)
    _kill(stack, "worker")
    _kill(stack, "prefect", "mlflow")
    step = _last_step(stack)
    until(lambda: _last_step(stack) > step + 10, 60)
    assert process.is_running()
    assert stack.state(resumed) == "RUNNING"


def test_a_run_whose_process_died_unseen_is_crashed_within_two_minutes(
    stack: Stack, resumed: str
) -> None:
    process = _process(stack, resumed)
    assert process.ppid() == 1  # its worker was killed: nobody waits for it
    process.kill()
    until(lambda: stack.state(resumed) == "CRASHED", 120)
    wanted = {"flow_runs": {"id": {"any_": [resumed]}}}
    tasks = stack.call("/task_runs/filter", wanted)[1]
    assert "RUNNING" not in {task["state_type"] for task in tasks}
    until(lambda: not _mlflow(stack, "SELECT 1 FROM runs WHERE status = 'RUNNING'"), 30)


def test_after_the_death_of_all_the_next_start_finds_the_lost_run(stack: Stack) -> None:
    lost = _train(stack)
    tree = psutil.Process(stack.process.pid).children(recursive=True)
    assert len(tree) >= 6  # the janitor, Prefect, MLflow and its server, the worker, the run
    stack.process.kill()
    stack.process.wait()
    _, alive = psutil.wait_procs(tree, timeout=120)
    assert alive == []

    again = ready(stack.environment)
    try:
        assert again.state(lost) in ("CRASHED", "CANCELLED")  # it may have had time to say so
        again.command("down")
        assert again.process.wait(60) == 0
        assert not (stack.home / "servers.json").exists()
    finally:
        end(again)
