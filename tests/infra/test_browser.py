"""What people do in a real browser: schedule flows in Prefect."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import browser
from tests.infra.stacks import Stack, until

pytestmark = browser.MARKS


@pytest.fixture
def page() -> Iterator[Any]:
    with browser.opened() as page:
        yield page


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
    browser.keep(page, "prefect-schedule")
    path = f"/deployments/{deployment}/schedules/{schedule['id']}"
    assert stack.call(path, {"active": False}, "PATCH")[0] == 204
