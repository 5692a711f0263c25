"""One stack for the module, over a home of its own: what people and programs do with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from flows.recipes import Recipe, smoke
from infra.deploy import FILE

pytestmark = pytest.mark.slow

_CHECKOUT = Path(__file__).resolve().parents[2]
_ENTRIES: list[dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["deployments"]


class Stack(NamedTuple):
    """A running `bloomery up`."""

    process: "subprocess.Popen[str]"
    environment: dict[str, str]
    home: Path
    prefect: str
    mlflow: str

    def call(
        self, path: str, body: object | None = None, method: str | None = None
    ) -> tuple[int, Any]:
        """Return status and JSON of a call to the Prefect API."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.prefect}/api{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment as the server has it."""
        return self.call(f"/deployments/name/{name}/{name}")[1]

    def start(self, name: str, parameters: dict[str, Any]) -> tuple[int, Any]:
        """Create a run of a deployment."""
        path = f"/deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.call(path, {"parameters": parameters})

    def state(self, run_id: str) -> str:
        """Return the type of state that a run is in."""
        return self.call(f"/flow_runs/{run_id}")[1]["state_type"]


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _up(environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _until(ready: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, f"not in {seconds} s"
        time.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack") / "home"
    prefect, mlflow = _free_ports()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BLOOMERY_"))},
        "BLOOMERY_HOME": str(home),
        "BLOOMERY_PREFECT_PORT": str(prefect),
        "BLOOMERY_MLFLOW_PORT": str(mlflow),
        "BLOOMERY_RAY_ADDRESS": "off",
        "PYTHONPATH": str(_CHECKOUT),
    }
    process = _up(environment)
    assert process.stdout is not None
    said = list[str]()
    for line in process.stdout:
        said.append(line)
        if "Ctrl-C stops everything" in line:
            break
    urls = f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}"
    try:
        assert process.poll() is None, "".join(said)
        yield Stack(process, environment, home, *urls)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def test_both_servers_answer_and_are_written_down(stack: Stack) -> None:
    written = json.loads((stack.home / "servers.json").read_text("utf-8"))
    assert written == {"pid": stack.process.pid, "prefect": stack.prefect, "mlflow": stack.mlflow}
    assert stack.call("/health") == (200, True)
    with urllib.request.urlopen(f"{stack.mlflow}/health", timeout=10) as reply:
        assert reply.status == 200


def test_nothing_listens_beyond_loopback(stack: Stack) -> None:
    tree = psutil.Process(stack.process.pid).children(recursive=True)
    listening = {
        connection.laddr[0]
        for process in tree
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("entry", _ENTRIES, ids=lambda entry: entry["name"])
def test_every_deployment_is_registered_and_its_entrypoint_loads(
    stack: Stack, entry: dict[str, Any]
) -> None:
    registered = stack.deployment(entry["name"])
    flow: Flow[..., Any] = load_flow_from_entrypoint(
        registered["entrypoint"], use_placeholder_flow=False
    )
    assert flow.name == entry["name"]
    assert registered["description"] == entry["description"]
    assert registered["tags"] == entry["tags"]
    assert registered["enforce_parameter_schema"]
    assert registered["global_concurrency_limit"]["limit"] == entry["concurrency_limit"]


def test_the_file_names_every_flow_of_the_command_line_and_no_schedules() -> None:
    from flows.cli import _FLOWS  # pyright: ignore[reportPrivateUsage]

    assert {entry["name"] for entry in _ENTRIES} == set(_FLOWS)
    assert not any("schedules" in entry or "schedule" in entry for entry in _ENTRIES)


def test_the_form_of_a_run_explains_every_field_of_the_recipe(stack: Stack) -> None:
    form = stack.deployment("pipeline")["parameter_openapi_schema"]
    shown = form["definitions"]["Recipe"]["properties"]
    for name, field in Recipe.model_fields.items():
        assert shown[name]["description"] == field.description
    beta = form["definitions"]["DPO"]["properties"]["beta"]
    assert beta["description"] == type(smoke().dpo).model_fields["beta"].description
    assert set(form["properties"]["recipe"]["default"]) == set(Recipe.model_fields)


def test_a_bad_parameter_is_refused_with_its_path(stack: Stack) -> None:
    recipe = smoke().model_dump(mode="json")
    recipe["dpo"]["beta"] = "strong"
    status, answer = stack.start("pipeline", {"recipe": recipe})
    assert status == 409
    assert "recipe.dpo.beta" in answer["detail"]


def test_the_worker_does_a_run_that_was_started_by_rest(stack: Stack) -> None:
    status, run = stack.start("data", {"recipe": smoke().model_dump(mode="json")})
    assert status == 201
    final = ("COMPLETED", "FAILED", "CRASHED")
    _until(lambda: stack.state(run["id"]) in final, 60)
    assert stack.state(run["id"]) == "COMPLETED"
    wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = stack.call("/task_runs/filter", wanted)[1]
    assert {task["name"].rsplit("-", 1)[0] for task in tasks} == {
        "data.ingest",
        "data.clean",
        "data.deduplicate",
        "data.decontaminate",
        "data.mask",
        "data.split",
        "data.vocabulary",
        "data.vocabulary_report",
        "data.tokenize",
        "data.scan",
        "data.card",
        "data.validate",
    }
    assert (stack.home / "runs" / run["id"] / "steps.jsonl").exists()


def test_an_interval_schedule_that_is_made_by_rest_makes_runs_until_it_is_paused(
    stack: Stack,
) -> None:
    assert stack.call("/work_pools/bloomery", {"is_paused": True}, "PATCH")[0] == 204  # only plan
    identity = stack.deployment("evals")["id"]
    schedule = {"schedule": {"interval": 60}, "active": True}
    status, (made,) = stack.call(f"/deployments/{identity}/schedules", [schedule])
    assert status == 201

    def planned() -> list[dict[str, Any]]:
        ahead = {"after_": datetime.now(UTC).isoformat()}  # pausing leaves a run that is due
        runs = {"state": {"type": {"any_": ["SCHEDULED"]}}, "next_scheduled_start_time": ahead}
        wanted = {"deployments": {"id": {"any_": [identity]}}, "flow_runs": runs}
        return stack.call("/flow_runs/filter", wanted)[1]

    def pause() -> bool:  # again and again: the scheduler may be in the middle of planning
        return stack.call(path, {"active": False}, "PATCH")[0] == 204

    runs = _until(planned, 30)
    assert all(run["auto_scheduled"] for run in runs)
    path = f"/deployments/{identity}/schedules/{made['id']}"
    _until(lambda: pause() and not planned(), 60)


def test_another_start_keeps_what_people_set_and_ends_the_runs_that_were_lost(
    stack: Stack,
) -> None:
    identity = stack.deployment("align")["id"]
    mine = {"parameters": {"source": None}, "concurrency_limit": 3, "paused": True}
    assert stack.call(f"/deployments/{identity}", mine, "PATCH")[0] == 204
    cron = [{"schedule": {"cron": "0 3 * * *"}, "active": False}]
    assert stack.call(f"/deployments/{identity}/schedules", cron)[0] == 201
    lost = stack.start("pretrain", {})[1]["id"]
    running = {"state": {"type": "RUNNING"}, "force": True}
    assert stack.call(f"/flow_runs/{lost}/set_state", running)[0] == 201

    environment = {**stack.environment, "PREFECT_API_URL": f"{stack.prefect}/api"}
    deploy = [sys.executable, "-m", "infra.deploy"]
    subprocess.run(deploy, env=environment, check=True, cwd=_CHECKOUT, timeout=60)

    kept = stack.deployment("align")
    assert kept["parameters"] == mine["parameters"]
    assert kept["global_concurrency_limit"]["limit"] == 3
    assert kept["paused"]
    assert [each["schedule"]["cron"] for each in kept["schedules"]] == ["0 3 * * *"]
    assert stack.state(lost) == "CRASHED"


def test_a_second_up_over_the_same_home_says_where_the_first_one_is(stack: Stack) -> None:
    second = _up(stack.environment)
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "already up" in said
    assert stack.prefect in said
    assert (stack.home / "servers.json").exists()


def test_a_taken_port_is_named_with_its_holder_and_the_remedy(stack: Stack, tmp_path: Path) -> None:
    other = _up({**stack.environment, "BLOOMERY_HOME": str(tmp_path / "home")})
    said, _ = other.communicate(timeout=30)
    said = " ".join(said.split())
    assert other.returncode == 1
    assert f"Port {stack.environment['BLOOMERY_PREFECT_PORT']} is taken by process" in said
    assert "BLOOMERY_PREFECT_PORT" in said


def test_sigterm_leaves_no_process_and_no_word_of_servers(stack: Stack) -> None:
    tree = psutil.Process(stack.process.pid).children(recursive=True)
    assert len(tree) >= 5  # the janitor, Prefect, MLflow and its server, the worker
    stack.process.send_signal(signal.SIGTERM)
    assert stack.process.wait(60) == 0
    assert [process for process in tree if process.is_running()] == []
    assert not (stack.home / "servers.json").exists()
