"""What people do in a real browser: fill in forms and schedule in Prefect, compare in MLflow."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flows.changes import changed
from flows.recipes import smoke
from tests import browser
from tests.infra.stacks import FINAL, Stack, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [*browser.MARKS, pytest.mark.prove]


@pytest.fixture
def page() -> "Iterator[Page]":
    with browser.opened() as page:
        yield page


_PRETRAININGS = (
    "#/experiments/1/runs?searchFilter=tags.component+%3D+'pretrain.train'"
    "&orderByKey=metrics.%60validation_bits_per_byte%60&orderByAsc=true&compareRunsMode="
)
"""As `infra/README.md` has it: MLflow lists steps by themselves unless it sorts by date."""


def _runs(stack: Stack, **wanted: Any) -> list[dict[str, Any]]:
    """Return the runs of the deployment `data`, the first one last."""
    deployment = {"name": {"any_": ["data"]}}
    body = {"deployments": deployment, "flow_runs": wanted, "sort": "START_TIME_DESC"}
    return stack.call("/flow_runs/filter", body)[1]


def _completed(run: str, stack: Stack, page: "Page") -> None:
    """See on the page of a run that it comes to its end."""
    page.goto(f"{stack.prefect}/runs/flow-run/{run}")
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=300_000)


def test_a_form_that_is_filled_in_starts_a_run_and_one_with_a_wrong_value_none(
    stack: Stack, page: "Page"
) -> None:
    before = {run["id"] for run in _runs(stack)}
    page.goto(f"{stack.prefect}/deployments/deployment/{stack.deployment('data')['id']}/run")
    row = page.get_by_text("Min Characters (Optional)", exact=True)
    box = page.locator(".schema-form-property", has=row).last.locator("input")
    submit = page.get_by_role("button", name="Submit", exact=True)
    box.fill("0")
    submit.click()
    page.get_by_text("0 is less than the minimum").first.wait_for()
    browser.keep(page, "prefect-form-refused")
    box.fill("150")
    browser.keep(page, "prefect-form")
    submit.click()
    [run] = until(lambda: [run for run in _runs(stack) if run["id"] not in before], 30)
    assert run["parameters"]["recipe"]["corpus"]["clean"]["min_characters"] == 150
    _completed(run["id"], stack, page)
    browser.keep(page, "prefect-run")


def test_a_schedule_that_is_set_in_the_ui_runs_until_it_is_switched_off(
    stack: Stack, page: "Page"
) -> None:
    page.goto(f"{stack.prefect}/deployments/deployment/{stack.deployment('data')['id']}")
    page.get_by_role("button", name="Schedule", exact=True).click()
    page.locator(".p-modal input[type=number]").fill("1")  # minute
    page.get_by_role("button", name="Save", exact=True).click()
    scheduled = {"type": {"any_": ["SCHEDULED"]}}
    until(lambda: _runs(stack, state=scheduled), 90)
    begun = {"type": {"not_any_": ["SCHEDULED"]}}
    run = until(lambda: [r for r in _runs(stack, state=begun) if r["auto_scheduled"]], 120)[-1]
    page.get_by_role("switch").last.click()
    until(lambda: not _runs(stack, state=scheduled), 90)
    [schedule] = stack.deployment("data")["schedules"]
    assert not schedule["active"]
    browser.keep(page, "prefect-schedule")
    _completed(run["id"], stack, page)


def test_the_dashboard_shows_the_steps_of_the_last_run(stack: Stack, page: "Page") -> None:
    run = stack.start("data", {"recipe": smoke().model_dump(mode="json")})[1]
    until(lambda: stack.state(run["id"]) in FINAL, 300)
    dashboard = f"http://127.0.0.1:{stack.environment['BLOOMERY_DASHBOARD_PORT']}"
    browser.open_dashboard(page, dashboard, "overview")
    page.get_by_text(f"Steps of {run['name']}").wait_for()
    graph = page.get_by_test_id("stGraphVizChart")
    for step in ("clean", "deduplicate", "tokenize", "validate"):
        graph.get_by_text(step, exact=True).first.wait_for()
    assert page.get_by_test_id("stAlert").count() == 0
    browser.keep(page, "dashboard-overview-of-a-run")


def test_two_pretrainings_are_compared_in_mlflow(stack: Stack, page: "Page") -> None:
    for rate in (0.01, 0.02):
        recipe = changed(smoke(), [f"pretrain.training.learning_rate={rate}"])
        run = stack.start("pretrain", {"recipe": recipe.model_dump(mode="json")})[1]["id"]
        until(lambda: stack.state(run) in FINAL, 300)  # noqa: B023 # used at once
    page.goto(f"{stack.mlflow}/{_PRETRAININGS}CHART")
    page.get_by_placeholder("Search metric charts").fill("loss")
    page.locator(".js-plotly-plot .scatterlayer .trace").nth(1).wait_for(state="attached")
    browser.keep(page, "mlflow-curves")
    page.goto(f"{stack.mlflow}/{_PRETRAININGS}TABLE")
    page.get_by_label("Select all runs").check(force=True)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Show diff only").first.click()
    differing = page.get_by_role("row", name="training.learning_rate")
    assert {"0.01", "0.02"} <= set(differing.first.inner_text().split())
    assert not page.get_by_role("row", name="training.schedule").count(), "it does not differ"
    browser.keep(page, "mlflow-compare")
