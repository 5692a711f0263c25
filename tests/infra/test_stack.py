"""What people and programs find on a stack that is up."""

import json
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from flows.command.running import FLOWS
from flows.ingest import ingest
from flows.pipeline import pipeline
from flows.recipes import smoke
from infra.deploy import FILE
from infra.form import form
from tests.infra.stacks import CHECKOUT, Stack, until, up

pytestmark = pytest.mark.slow

_ENTRIES: list[dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["deployments"]


def test_both_servers_answer_and_are_written_down(stack: Stack) -> None:
    written = json.loads((stack.home / "servers.json").read_text("utf-8"))
    assert written["pid"] == stack.process.pid
    assert (written["prefect"], written["mlflow"]) == (stack.prefect, stack.mlflow)
    assert stack.call("/health") == (200, True)
    with urllib.request.urlopen(f"{stack.mlflow}/health", timeout=60) as reply:
        assert reply.status == 200


def test_nothing_listens_beyond_loopback(stack: Stack) -> None:
    assert stack.listening() == {"127.0.0.1"}


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
    assert registered["work_queue_name"] == entry["work_pool"]["work_queue_name"]


def test_one_training_and_one_work_on_data_at_a_time(stack: Stack) -> None:
    queues = stack.call("/work_pools/bloomery/queues/filter", {})[1]
    limits = {queue["name"]: queue["concurrency_limit"] for queue in queues}
    assert limits == {"default": None, "training": 1, "data": 1}
    of = {entry["name"]: entry["work_pool"]["work_queue_name"] for entry in _ENTRIES}
    assert {of[name] for name in ("pipeline", "pretrain", "finetune", "align")} == {"training"}
    assert of["data"] == "data"


def test_the_file_names_every_flow_of_the_command_line_and_no_schedules() -> None:
    assert {entry["name"] for entry in _ENTRIES} == {*FLOWS, "ingest"}
    assert not any("schedules" in entry or "schedule" in entry for entry in _ENTRIES)


def test_the_server_has_the_form_that_the_code_says(stack: Stack) -> None:
    for flow in (pipeline, ingest):
        assert stack.deployment(flow.name)["parameter_openapi_schema"] == form(flow)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"recipe": {"align": {"dpo": {"beta": "strong"}}}}, "align.dpo.beta: Input should be"),
        ({"recipe": "smoke", "set": {"pretrain.dept": 3}}, "Did you mean 'depth'?"),
        ({"recipe": "smoke", "set": ["num_heads=3"]}, "width=64 is not a multiple of num_heads=3"),
        (
            {"recipe": "smok"},
            "No recipe 'smok'. There are: tiny, small, smoke, adapt, continue, compress.",
        ),
    ],
    ids=str,
)
def test_a_bad_parameter_is_refused_in_the_words_of_the_command_line(
    stack: Stack, parameters: dict[str, Any], says: str
) -> None:
    status, answer = stack.start("pipeline", parameters)
    assert status == 409
    assert says in answer["detail"]


def test_a_parameter_that_the_flow_does_not_have_is_refused(stack: Stack) -> None:
    status, answer = stack.start("pipeline", {"recipes": {}})
    assert status == 409
    assert "'recipes' was unexpected" in answer["detail"]


def test_schedules_that_are_made_by_rest_make_runs_until_they_are_paused(stack: Stack) -> None:
    assert stack.call("/work_pools/bloomery", {"is_paused": True}, "PATCH")[0] == 204  # only plan
    identity = stack.deployment("compress")["id"]
    path = f"/deployments/{identity}/schedules"
    wanted = [{"interval": 60}, {"cron": "30 5 * * *", "timezone": "Europe/Zurich"}]
    bodies = [{"schedule": schedule, "active": True} for schedule in wanted]
    status, made = stack.call(path, bodies)
    assert status == 201

    def planned() -> list[dict[str, Any]]:
        ahead = {"after_": datetime.now(UTC).isoformat()}  # pausing leaves a run that is due
        runs = {"state": {"type": {"any_": ["SCHEDULED"]}}, "next_scheduled_start_time": ahead}
        wanted = {"deployments": {"id": {"any_": [identity]}}, "flow_runs": runs}
        return stack.call("/flow_runs/filter", wanted)[1]

    def pause() -> bool:  # again and again: the scheduler may be in the middle of planning
        rows = [stack.call(f"{path}/{row['id']}", {"active": False}, "PATCH") for row in made]
        return all(status == 204 for status, _ in rows)

    def makers() -> set[str]:
        return {run["created_by"]["id"] for run in planned() if run["auto_scheduled"]}

    until(lambda: makers() == {row["id"] for row in made}, 60)
    until(lambda: pause() and not planned(), 60)
    status, answer = stack.call(path, [{"schedule": {"cron": "61 5 * * *"}, "active": True}])
    assert status == 422
    assert "cron" in str(answer)
    assert stack.call("/work_pools/bloomery", {"is_paused": False}, "PATCH")[0] == 204


def test_another_registration_keeps_what_people_set(stack: Stack) -> None:
    identity = stack.deployment("align")["id"]
    recipe = {"recipe": smoke().model_dump(mode="json")}
    mine = {"parameters": recipe, "concurrency_limit": 3, "paused": True}
    assert stack.call(f"/deployments/{identity}", mine, "PATCH")[0] == 204
    cron = [{"schedule": {"cron": "0 3 * * *"}, "active": False}]
    assert stack.call(f"/deployments/{identity}/schedules", cron)[0] == 201
    queue = "/work_pools/bloomery/queues/data"
    assert stack.call(queue, {"concurrency_limit": 2}, "PATCH")[0] == 204
    automation = stack.automations()["A new data revision starts the pipeline"]["id"]
    assert stack.call(f"/automations/{automation}", {"enabled": True}, "PATCH")[0] == 204

    environment = {**stack.environment, "PREFECT_API_URL": f"{stack.prefect}/api"}
    deploy = [sys.executable, "-m", "infra.deploy"]
    subprocess.run(deploy, env=environment, check=True, cwd=CHECKOUT, timeout=120)

    kept = stack.deployment("align")
    assert kept["parameters"] == mine["parameters"]
    assert kept["global_concurrency_limit"]["limit"] == 3
    assert kept["paused"]
    assert [each["schedule"]["cron"] for each in kept["schedules"]] == ["0 3 * * *"]
    assert stack.call(queue)[1]["concurrency_limit"] == 2
    assert stack.call(queue, {"concurrency_limit": 1}, "PATCH")[0] == 204
    found = {name: each["enabled"] for name, each in stack.automations().items()}
    assert found == {"A new data revision starts the pipeline": True, "A run failed": False}
    assert stack.call(f"/automations/{automation}", {"enabled": False}, "PATCH")[0] == 204


def test_a_second_up_over_the_same_home_says_where_the_first_one_is(stack: Stack) -> None:
    second = up(stack.environment)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "already up" in said
    assert stack.prefect in said
    assert (stack.home / "servers.json").exists()


def test_a_taken_port_is_named_with_its_holder_and_the_remedy(stack: Stack, tmp_path: Path) -> None:
    other = up({**stack.environment, "BLOOMERY_HOME": str(tmp_path / "home")})
    said, _ = other.communicate(timeout=120)
    said = " ".join(said.split())
    assert other.returncode == 1
    assert f"Port {stack.environment['BLOOMERY_PREFECT_PORT']} is taken by process" in said
    assert "BLOOMERY_PREFECT_PORT" in said


def test_status_tells_every_service_with_its_address_and_memory(stack: Stack) -> None:
    services = stack.services()
    assert set(services) >= {"prefect", "mlflow", "worker"}
    assert {service["state"] for service in services.values()} == {"up"}
    assert services["prefect"]["url"] == stack.prefect
    assert sum(service["memory_mib"] for service in services.values()) < 2560  # what idles
    shown = stack.command("status")
    assert shown.returncode == 0
    assert stack.prefect in shown.stdout


def test_status_over_a_home_where_nothing_is_up_says_so_by_its_exit_code(
    stack: Stack, tmp_path: Path
) -> None:
    elsewhere = stack._replace(environment={**stack.environment, "BLOOMERY_HOME": str(tmp_path)})
    shown = elsewhere.command("status", "--json")
    assert shown.returncode == 69
    assert json.loads(shown.stdout) == {"up": False, "services": []}
    assert "Nothing is up" in elsewhere.command("down").stdout


def test_a_door_to_other_machines_is_not_opened_without_a_login(tmp_path: Path) -> None:
    from tests.infra.stacks import environment

    process = up(environment(tmp_path / "home", BLOOMERY_HOST="0.0.0.0"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "BLOOMERY_HOST=0.0.0.0 lets other machines in" in " ".join(said.split())
    assert not (tmp_path / "home" / "prefect" / "prefect.db").exists()
