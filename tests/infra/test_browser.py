"""What people do in a real browser: start and schedule flows in Prefect, compare runs in MLflow."""

import importlib.util
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.recipes import smoke
from tests.infra.test_stack import Stack, _until, stack  # noqa: F401 - the fixture

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_LACKING = [
    name
    for name, is_there in (
        ("playwright (pip install playwright)", importlib.util.find_spec("playwright")),
        ("Chromium (apt install chromium)", _CHROMIUM),
    )
    if not is_there
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(bool(_LACKING), reason=f"There is no {' and no '.join(_LACKING)}."),
]

_MILLISECONDS = 60_000  # of patience with a page on a busy machine
_NAME = "started-from-the-form"


@pytest.fixture
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(_MILLISECONDS)
        yield page
        chromium.close()


def _keep(page: Any, name: str) -> None:
    if folder := os.environ.get("BLOOMERY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


def _field(page: Any, label: str) -> Any:
    """Return the first input under a label: Prefect's labels do not say which field is theirs."""
    return page.locator(f"xpath=//label[contains(., '{label}')]/..//input").first


def _runs_of(stack: Stack, identity: str) -> list[dict[str, Any]]:  # noqa: F811
    wanted = {"deployments": {"id": {"any_": [identity]}}}
    return stack.call("/flow_runs/filter", wanted)[1]


def test_the_form_of_a_deployment_starts_a_run_with_what_was_filled_in(stack, page):  # noqa: F811
    deployment = stack.deployment("data")["id"]
    recipe = {"recipe": smoke().model_dump(mode="json")}
    path = f"/deployments/{deployment}"  # SQLite is busy while the servers start: 503, try again
    _until(lambda: stack.call(path, {"parameters": recipe}, "PATCH")[0] == 204, 60)

    page.goto(f"{stack.prefect}/deployments/deployment/{deployment}/run")
    page.get_by_role("button", name="Submit").wait_for()
    _field(page, "Run Name").fill(_NAME)
    _field(page, "Vocab Size").fill("520")
    _keep(page, "prefect-form")
    page.get_by_role("button", name="Submit").click()
    (run,) = _until(lambda: _runs_of(stack, deployment), 60)
    assert run["name"] == _NAME
    assert run["parameters"]["recipe"]["vocabulary"]["vocab_size"] == 520

    final = ("COMPLETED", "FAILED", "CRASHED")
    _until(lambda: stack.state(run["id"]) in final, 240)
    page.goto(f"{stack.prefect}/runs/flow-run/{run['id']}")
    page.get_by_text("Completed").first.wait_for()
    page.get_by_text("data.vocabulary").first.wait_for()
    _keep(page, "prefect-run")
    assert stack.state(run["id"]) == "COMPLETED"


def test_a_schedule_that_is_set_in_the_ui_plans_runs(stack, page):  # noqa: F811
    deployment = stack.deployment("evals")["id"]
    page.goto(f"{stack.prefect}/deployments/deployment/{deployment}")
    page.get_by_role("button", name="Schedule", exact=True).click()
    page.get_by_role("button", name="Save", exact=True).click()
    runs = _until(lambda: _runs_of(stack, deployment), 90)
    assert all(run["auto_scheduled"] and run["state_type"] == "SCHEDULED" for run in runs)
    (schedule,) = stack.deployment("evals")["schedules"]
    assert schedule["active"]
    assert schedule["schedule"]["interval"] == 3600
    _keep(page, "prefect-schedule")
    path = f"/deployments/{deployment}/schedules/{schedule['id']}"
    assert stack.call(path, {"active": False}, "PATCH")[0] == 204


def test_two_runs_are_compared_in_mlflow_by_what_differs(stack, page):  # noqa: F811
    experiment, runs = _search(stack, "tags.level = 'component'")
    address = f"runs={json.dumps(runs[:2])}&experiments={json.dumps([experiment])}"
    page.goto(f"{stack.mlflow}/#/compare-runs?{address}")
    page.get_by_text("Comparing 2 Runs").first.wait_for()
    page.get_by_text("Show diff only").first.wait_for()
    _keep(page, "mlflow-compare")


def _search(stack: Stack, query: str) -> tuple[str, list[str]]:  # noqa: F811
    """Return the experiment, and the ids of the runs that a query finds in it."""

    def ask(path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{stack.mlflow}/api/2.0/mlflow/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read())

    experiments = ask("experiments/search", {"max_results": 10})["experiments"]
    (experiment,) = [each["experiment_id"] for each in experiments if each["name"] == "bloomery"]
    found = ask("runs/search", {"experiment_ids": [experiment], "filter": query})
    return experiment, [run["info"]["run_id"] for run in found["runs"]]
