"""What people do in a real browser: schedule flows in Prefect."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.stacks import Stack, until

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


def _runs_of(stack: Stack, identity: str) -> list[dict[str, Any]]:
    wanted = {"deployments": {"id": {"any_": [identity]}}}
    return stack.call("/flow_runs/filter", wanted)[1]


def test_a_schedule_that_is_set_in_the_ui_plans_runs(stack, page):
    deployment = stack.deployment("compress")["id"]
    page.goto(f"{stack.prefect}/deployments/deployment/{deployment}")
    page.get_by_role("button", name="Schedule", exact=True).click()
    page.get_by_role("button", name="Save", exact=True).click()
    runs = until(lambda: _runs_of(stack, deployment), 90)
    assert all(run["auto_scheduled"] and run["state_type"] == "SCHEDULED" for run in runs)
    (schedule,) = stack.deployment("compress")["schedules"]
    assert schedule["active"]
    assert schedule["schedule"]["interval"] == 3600
    _keep(page, "prefect-schedule")
    path = f"/deployments/{deployment}/schedules/{schedule['id']}"
    assert stack.call(path, {"active": False}, "PATCH")[0] == 204
