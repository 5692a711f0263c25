"""Runs that programs start: by curl, by Prefect's command, by ours, by an event; and many."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.recipes import smoke
from tests.infra.stacks import FINAL, Stack, ask_once, until, waiting_runs

pytestmark = pytest.mark.slow


def test_the_same_idempotency_key_makes_one_run(planning: Stack) -> None:
    said = [
        planning.command("trigger", "data", "--idempotency-key", "monday", "--json")
        for _ in range(2)
    ]
    assert [each.returncode for each in said] == [0, 0], said[0].stderr
    first, second = (json.loads(each.stdout) for each in said)
    assert first["id"] == second["id"]
    assert first["kind"] == "SCHEDULED"
    assert first["url"] == f"{planning.prefect}/runs/flow-run/{first['id']}"


def test_what_cannot_be_triggered_is_refused_with_the_reason(planning: Stack) -> None:
    unknown = planning.command("trigger", "dta")
    assert unknown.returncode == 1
    assert "No flow 'dta' is deployed. There are: align" in unknown.stderr
    wrong = planning.command("trigger", "data", "--set", "tokenize.shard_tokens=-1")
    assert wrong.returncode == 1
    assert "tokenize.shard_tokens" in wrong.stderr
    assert waiting_runs(planning) == []


def test_without_servers_a_trigger_says_how_to_start_them(planning: Stack, tmp_path: Path) -> None:
    alone = {**planning.environment, "BLOOMERY_HOME": str(tmp_path)}
    done = planning._replace(environment=alone).command("trigger", "data")
    assert done.returncode == 69
    assert "bloomery up" in done.stderr


@pytest.mark.prove
def test_of_a_hundred_calls_at_once_none_is_lost(planning: Stack) -> None:
    identity = planning.deployment("data")["id"]
    body = {"parameters": {"recipe": smoke().model_dump(mode="json")}}

    def call(_: int) -> tuple[int, Any]:
        return ask_once(f"{planning.prefect}/api/deployments/{identity}/create_flow_run", body)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(100)))
    assert {status for status, _ in answers} == {201}
    accepted = {run["id"] for _, run in answers}
    assert len(accepted) == 100
    assert {run["id"] for run in waiting_runs(planning)} == accepted


def test_a_new_revision_of_the_data_starts_the_pipeline_once_people_want_it(
    planning: Stack,
) -> None:
    automation = planning.automations()["A new data revision starts the pipeline"]
    assert not automation["enabled"]
    path = f"/automations/{automation['id']}"
    assert planning.call(path, {"enabled": True}, "PATCH")[0] == 204

    def emit() -> list[dict[str, Any]]:  # again: the change takes a moment to reach the triggers
        time.sleep(3)
        event = {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "bloomery.data.revised",
            "resource": {"prefect.resource.id": "bloomery.data"},
            "payload": {"revision": "0123.dir"},
        }
        assert planning.call("/events", [event])[0] == 204
        return waiting_runs(planning)

    runs = until(emit, 60)
    identity = planning.deployment("pipeline")["id"]
    assert {run["deployment_id"] for run in runs} == {identity}
    assert planning.call(path, {"enabled": False}, "PATCH")[0] == 204
    time.sleep(5)  # no event that is still on its way may start a run once these are deleted


def test_a_cron_makes_runs_that_are_done_until_it_is_switched_off(stack: Stack) -> None:
    identity = stack.deployment("data")["id"]
    path = f"/deployments/{identity}/schedules"
    parameters = {"recipe": "smoke", "set": {"split.test_percent": 6}}
    every_minute = {"schedule": {"cron": "* * * * *"}, "active": True, "parameters": parameters}
    status, [made] = stack.call(path, [every_minute])
    assert status == 201

    def by_it(**state: list[str]) -> list[dict[str, Any]]:
        runs = {"deployment_id": {"any_": [identity]}, "state": {"type": state}}
        found = stack.call("/flow_runs/filter", {"flow_runs": runs})[1]
        return [run for run in found if run["created_by"]["id"] == made["id"]]

    [run] = until(lambda: by_it(not_any_=["SCHEDULED"]), 90)[:1]
    off = f"{path}/{made['id']}", {"active": False}, "PATCH"
    # again and again: the scheduler may be in the middle of planning
    until(lambda: stack.call(*off)[0] == 204 and not by_it(any_=["SCHEDULED"]), 60)
    assert stack.call(path)[1][0]["parameters"] == parameters, "switched on it would run another"
    until(lambda: stack.state(run["id"]) in FINAL, 200)
    assert stack.state(run["id"]) == "COMPLETED"


def test_what_a_server_let_pass_fails_at_once_with_the_same_sentence(stack: Stack) -> None:
    identity = stack.deployment("data")["id"]
    body = {"parameters": {"recipe": "smoke", "set": {"split.test_percents": 6}}}
    unchecked = {**body, "enforce_parameter_schema": False}  # as a server without our keyword
    run = stack.call(f"/deployments/{identity}/create_flow_run", unchecked)[1]["id"]
    until(lambda: stack.state(run) in FINAL, 200)
    ended = stack.call(f"/flow_runs/{run}")[1]
    assert ended["state"]["name"] == "Failed"
    says = "--set split.test_percents: corpus.split has no field 'test_percents'. "
    assert ended["state"]["message"] == says + "Did you mean 'test_percent'?"
    assert ended["name"].startswith("smoke-")
    tasks = stack.call("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})[1]
    assert tasks == []


def test_a_recipe_that_is_written_out_in_part_is_no_conflict(planning: Stack) -> None:
    part = {"name": "smoke", "pretrain": {"train": {"depth": 3}}, "align": None}
    status, run = planning.start("pipeline", {"recipe": part})
    assert (status, run["parameters"]) == (201, {"recipe": part})
    status, run = planning.start("pipeline", {"recipe": smoke().model_dump(mode="json")})
    assert status == 201, "as the form had it before recipes had names"


def test_a_trigger_that_waits_ends_as_the_run_does(stack: Stack) -> None:
    done = stack.command("trigger", "data", "--recipe", "smoke", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["kind"] == "COMPLETED"
    assert stack.state(run["id"]) in FINAL
    assert stack.call(f"/flow_runs/{run['id']}")[1]["name"] == run["name"]
    assert run["name"].startswith("smoke-")
    wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = stack.call("/task_runs/filter", wanted)[1]
    assert {"data.take_documents", "data.tokenize"} <= {t["name"].rsplit("-", 1)[0] for t in tasks}
    assert (stack.home / "runs" / run["id"] / "steps.jsonl").exists()
    impossible = ("--set", "split.validation_percent=50", "--set", "split.test_percent=49")
    failed = stack.command("trigger", "data", "--recipe", "smoke", *impossible, "--wait")
    assert failed.returncode == 1, failed.stdout
