"""What people do in a real browser: fill in forms and schedule in Prefect, compare in MLflow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import browser
from tests.infra.stacks import FINAL, Stack, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [*browser.MARKS, pytest.mark.prove]


@pytest.fixture
def page() -> "Iterator[Page]":
    with browser.opened() as page:
        yield page


_DEBOUNCE_MILLISECONDS = 1_000  # the new interface takes a value over after a while
_PRETRAININGS = (
    "#/experiments/1/runs?searchFilter=tags.component+%3D+'pretrain.train'"
    "&orderByKey=metrics.%60validation_bits_per_byte%60&orderByAsc=true&compareRunsMode="
)
"""As `infra/README.md` has it: MLflow lists steps by themselves unless it sorts by date."""


def _runs(stack: Stack, flow: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return the runs of a deployment, the first one last."""
    deployment = {"name": {"any_": [flow]}}
    body = {"deployments": deployment, "flow_runs": wanted, "sort": "START_TIME_DESC"}
    return stack.call("/flow_runs/filter", body)[1]


def _open(page: "Page", stack: Stack, deployment: str) -> None:
    """Open a deployment as people do: from the address that `bloomery up` prints."""
    page.goto(stack.prefect)
    page.get_by_role("link", name="Deployments", exact=True).first.click()
    link = page.get_by_role("link", name=deployment, exact=True)
    link.and_(page.locator('a[href*="/deployments/"]')).first.click()  # its flow is called so too
    page.get_by_role("button", name="Schedule", exact=True).wait_for()


def _choose(page: "Page", recipe: str) -> None:
    page.get_by_label("Select By name").first.click()
    page.get_by_role("option", name=recipe, exact=True).click()
    page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)


def test_a_schedule_that_is_made_by_clicking_runs_what_it_shows_until_it_is_switched_off(
    stack: Stack, page: "Page"
) -> None:
    _open(page, stack, "pipeline")
    page.get_by_role("button", name="Schedule", exact=True).click()
    page.get_by_role("tab", name="Cron", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Every minute").wait_for()
    _choose(page, "smoke")
    browser.keep(page, "prefect-schedule")
    dialog.get_by_role("button", name="Save", exact=True).click()
    dialog.wait_for(state="hidden")

    begun = {"type": {"not_any_": ["SCHEDULED"]}}
    run = until(
        lambda: [r for r in _runs(stack, "pipeline", state=begun) if r["auto_scheduled"]], 120
    )[-1]
    page.get_by_role("switch", name="toggle Every minute").click()
    scheduled = {"type": {"any_": ["SCHEDULED"]}}
    until(lambda: not _runs(stack, "pipeline", state=scheduled), 90)
    [schedule] = stack.deployment("pipeline")["schedules"]
    assert not schedule["active"]
    assert schedule["parameters"] == {"recipe": "smoke"}
    assert run["parameters"] == {"recipe": "smoke"}
    until(lambda: stack.state(run["id"]) in FINAL, 600)
    ended = stack.call(f"/flow_runs/{run['id']}")[1]
    assert ended["state"]["name"] == "Completed", ended["state"]["message"]
    assert ended["name"].startswith("smoke-")


def test_a_run_with_one_change_is_refused_once_and_then_comes_to_its_end(
    stack: Stack, page: "Page"
) -> None:
    _open(page, stack, "pretrain")
    before = {run["id"] for run in _runs(stack, "pretrain")}
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    _choose(page, "smoke")
    page.get_by_role("button", name="Add item").click()
    change = page.locator("div.group", has=page.get_by_role("button", name="Add item"))
    change.locator("textarea").first.fill("pretrain.num_step=2")
    page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)
    submit = page.get_by_role("button", name="Submit", exact=True)
    submit.click()
    page.get_by_text("has no field 'num_step'. Did you mean 'num_steps'?").first.wait_for()
    browser.keep(page, "prefect-form-refused")
    assert {run["id"] for run in _runs(stack, "pretrain")} == before
    page.mouse.move(0, 0)  # a notice over the button stays as long as the mouse is on it
    with page.expect_response("**/ui/schemas/validate", timeout=180_000):  # by itself
        change.locator("textarea").first.fill("pretrain.num_steps=2")
    page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)
    page.locator("[data-sonner-toast]").first.wait_for(state="hidden")
    submit.click()
    [run] = until(lambda: [r for r in _runs(stack, "pretrain") if r["id"] not in before], 30)
    assert run["parameters"] == {"recipe": "smoke", "set": ["pretrain.num_steps=2"]}
    page.goto(f"{stack.prefect}/v2/runs/flow-run/{run['id']}")
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=600_000)
    browser.keep(page, "prefect-run")
    assert stack.call(f"/flow_runs/{run['id']}")[1]["name"].startswith("smoke-")


def test_a_model_that_exists_learns_dialogues_by_a_form_that_is_filled_in(
    stack: Stack, page: "Page", tmp_path: Path
) -> None:
    says = [(f"What comes after {n}?", f"After {n} comes {n + 1}.") for n in range(40)]
    rows = "".join(json.dumps({"prompt": one, "completion": other}) + "\n" for one, other in says)
    (tmp_path / "mine.jsonl").write_text(rows, encoding="utf-8")
    added = ("data", "add", "mine", str(tmp_path / "mine.jsonl"), "--as", "instructions")
    assert stack.command(*added).returncode == 0
    made = stack.start("pretrain", {"recipe": "smoke"})[1]["id"]
    until(lambda: stack.state(made) in FINAL, 300)
    base = next(stack.home.glob("artifacts/pretrain.train/*/*/artifact.json")).parent

    _open(page, stack, "pipeline")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    _choose(page, "adapt")
    add = page.get_by_role("button", name="Add item")
    changes = [f"pretrain.source={base}", 'finetune.instructions=["mine"]']
    for place, change in enumerate(changes):
        add.click()
        page.locator("div.group", has=add).locator("textarea").nth(place).fill(change)
        page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)
    browser.keep(page, "prefect-form-adapt")
    before = {run["id"] for run in _runs(stack, "pipeline")}
    page.get_by_role("button", name="Submit", exact=True).click()
    [run] = until(lambda: [r for r in _runs(stack, "pipeline") if r["id"] not in before], 30)
    assert run["parameters"] == {"recipe": "adapt", "set": changes}
    until(lambda: stack.state(run["id"]) in FINAL, 600)
    ended = stack.call(f"/flow_runs/{run['id']}")[1]
    assert ended["state"]["name"] == "Completed", ended["state"]["message"]
    page.goto(f"{stack.prefect}/v2/runs/flow-run/{run['id']}?tab=Artifacts")
    page.get_by_text("dialogues", exact=False).first.wait_for()
    browser.keep(page, "prefect-adapt-artifacts")


def test_the_dashboard_shows_the_steps_of_the_last_run(stack: Stack, page: "Page") -> None:
    run = stack.start("data", {"recipe": "smoke"})[1]
    until(lambda: stack.state(run["id"]) in FINAL, 300)
    dashboard = f"http://127.0.0.1:{stack.environment['BLOOMERY_DASHBOARD_PORT']}"
    browser.open_dashboard(page, dashboard, "overview")
    name = stack.call(f"/flow_runs/{run['id']}")[1]["name"]  # it says its recipe since it began
    page.get_by_text(f"Steps of {name}").wait_for()
    graph = page.get_by_test_id("stGraphVizChart")
    for step in ("clean", "deduplicate", "tokenize", "validate"):
        graph.get_by_text(f"data.{step}", exact=True).first.wait_for()
    assert page.get_by_test_id("stAlert").count() == 0
    browser.keep(page, "dashboard-overview-of-a-run")


def test_two_pretrainings_are_compared_in_mlflow(stack: Stack, page: "Page") -> None:
    for rate in (0.01, 0.02):
        changes = {"pretrain.training.learning_rate": rate}
        run = stack.start("pretrain", {"recipe": "smoke", "set": changes})[1]["id"]
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
