"""A pipeline of the stack that asks before it releases: suspended, answered, refused, forgotten."""

from typing import TYPE_CHECKING, Any

import pytest

from components.core.journal import read_steps
from flows.changes import changed
from flows.recipes import smoke
from tests import browser
from tests.infra.stacks import FINAL, Stack, fetch, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.slow, pytest.mark.prove]


_ANSWERED = "bloomery-answered"  # what other tests release is no champion of it


def _suspended(stack: Stack, allowed_loss: float, *more: str, hours: float = 1.0) -> str:
    """Start a pipeline, with a gate of its own, and return the id of its run once it waits."""
    asks = [
        f"registration.model_name={_ANSWERED}",
        "approval.ask=true",
        f"approval.timeout_hours={hours}",
        f"align.budget.max_accuracy_loss={allowed_loss}",
        "compress.budget.max_accuracy_loss=1",
        *more,
    ]
    status, run = stack.start(
        "pipeline", {"recipe": changed(smoke(), asks).model_dump(mode="json")}
    )
    assert status == 201
    until(lambda: stack.state(run["id"]) in (*FINAL, "PAUSED"), 400)
    assert stack.state(run["id"]) == "PAUSED", stack.call(f"/flow_runs/{run['id']}")[1]["state"]
    return run["id"]


def _answer(stack: Stack, run: str, **answer: str) -> int:
    return stack.call(f"/flow_runs/{run}/resume", {"run_input": answer})[0]


def _form(stack: Stack, run: str, part: str) -> str:
    """Return what the page of the run shows: the `description`, or the `schema` of the form.

    Prefect stores the state first and the form a moment later.
    """
    keys = stack.call(f"/flow_runs/{run}")[1]["state"]["state_details"]["run_input_keyset"]
    place = f"/flow_runs/{run}/input/{keys[part]}"
    until(lambda: stack.call(place)[0] == 200, 10)
    return str(stack.call(place)[1])


def _versions(stack: Stack, name: str = _ANSWERED) -> list[dict[str, Any]]:
    url = f"{stack.mlflow}/api/2.0/mlflow/model-versions/search"
    found = fetch(url)[1].get("model_versions", [])
    return [each for each in found if each["name"] == name]


def _in_mlflow(stack: Stack, run: str) -> dict[str, Any]:
    """Return what MLflow has of a whole flow run: it has it once."""
    query = f"tags.flow_run_id = '{run}' and tags.level = 'flow'"
    wanted = {"experiment_ids": ["1"], "filter": query}
    [found] = fetch(f"{stack.mlflow}/api/2.0/mlflow/runs/search", wanted)[1]["runs"]
    return found


def _becomes(stack: Stack, run: str, status: str) -> None:
    until(lambda: _in_mlflow(stack, run)["info"]["status"] == status, 60)


def test_nobody_answers_somebody_refuses_somebody_approves(stack: Stack) -> None:
    forgotten = _suspended(stack, 0.97, hours=5 / 3600)
    until(lambda: stack.state(forgotten) in FINAL, 120)
    assert stack.state(forgotten) == "FAILED"
    _becomes(stack, forgotten, "FAILED")

    refused = _suspended(stack, 0.99)
    _becomes(stack, refused, "SCHEDULED")
    asked = _form(stack, refused, "description")
    assert "accuracy (95 %)" in asked, "decided without the numbers"
    assert "There is no champion yet" in asked
    said = stack.call(f"/flow_runs/{refused}")[1]["state"]["message"]
    assert f"Release this model as {_ANSWERED}?" in said
    assert "Resume" in said
    assert "approve" in _form(stack, refused, "schema")
    assert _answer(stack, refused, decision="reject", name="Ada", comment="too small") == 201
    until(lambda: stack.state(refused) in FINAL, 200)
    state = stack.call(f"/flow_runs/{refused}")[1]["state"]
    assert state["name"] == "Rejected"
    assert "Ada rejected it. too small" in state["message"]
    assert _versions(stack) == []
    _becomes(stack, refused, "FAILED")

    approved = _suspended(stack, 0.98)
    assert _answer(stack, approved, decision="approve", name="Ada", comment="good") == 201
    until(lambda: stack.state(approved) in FINAL, 200)
    assert stack.state(approved) == "COMPLETED"
    [version] = _versions(stack)
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert (tags["approved_by"], tags["approval_comment"]) == ("Ada", "good")
    description = version["description"]
    assert description.startswith("**A language model of ")
    assert description.index("accuracy (95 %)") < description.index("Made from:")
    _becomes(stack, approved, "FINISHED")
    metrics = {metric["key"] for metric in _in_mlflow(stack, approved)["data"]["metrics"]}
    assert any(name.endswith("accuracy") for name in metrics), "MLflow has no scorecard"
    made = {
        step.component for step in read_steps(stack.home / "runs" / approved) if not step.cached
    }
    assert made == {"release.gate", "release.register"}, "what this run made, before and after"


_ASKED = "bloomery-asked"


@pytest.mark.skipif(not browser.is_there(), reason="There is no browser.")
def test_a_person_refuses_and_approves_in_the_browser_with_the_champion_beside_the_candidate(
    stack: Stack,
) -> None:
    named = f"registration.model_name={_ASKED}"
    weak = ["finetune=null", "align=null", named]  # it was never taught to answer
    champion = stack.start("pipeline", {"recipe": "smoke", "set": weak})[1]["id"]
    until(lambda: stack.state(champion) in FINAL, 400)
    assert stack.state(champion) == "COMPLETED"

    refused = _answered(stack, _suspended(stack, 0.98, named), _refuse)
    assert refused["name"] == "Rejected"
    assert "Grace rejected it" in refused["message"]
    assert [each["version"] for each in _versions(stack, _ASKED)] == ["1"]

    approved = _answered(stack, _suspended(stack, 0.98, named), _approve)
    assert approved["name"] == "Completed"
    url = f"{stack.mlflow}/api/2.0/mlflow/registered-models/alias?name={_ASKED}&alias=champion"
    now = fetch(url)[1]["model_version"]
    assert now["version"] == "2"
    assert {"key": "approved_by", "value": "Grace"} in now["tags"]


def _answered(
    stack: Stack, run: str, answer: "Callable[[Page, Stack, dict[str, Any]], None]"
) -> dict[str, Any]:
    """Answer in the browser, and return the state that the run ends in."""
    _form(stack, run, "schema")
    with browser.opened() as page:
        answer(page, stack, stack.call(f"/flow_runs/{run}")[1])
    until(lambda: stack.state(run) in FINAL, 200)
    return stack.call(f"/flow_runs/{run}")[1]["state"]


def _approve(page: "Page", stack: Stack, run: dict[str, Any]) -> None:
    """Begin at `/`, where Prefect's new interface opens, and only click."""
    page.goto(stack.prefect)
    page.get_by_role("link", name="Runs", exact=True).first.click()
    page.get_by_role("link", name=run["name"], exact=True).first.click()
    page.get_by_role("button", name="Open menu").first.click()
    page.get_by_role("menuitem", name="Resume", exact=True).click()
    form = page.get_by_role("dialog")
    name = _see_both(page, form)
    form.get_by_role("button", name="Select Decision").click()
    page.get_by_role("option", name="approve", exact=True).click()
    name.fill("Grace")
    browser.keep(page, "prefect-approval-approve")
    form.get_by_role("button", name="Resume", exact=True).click()
    form.wait_for(state="hidden")


def _refuse(page: "Page", stack: Stack, run: dict[str, Any]) -> None:
    """Begin at the page of the run in the old interface, which links of ours open."""
    page.goto(f"{stack.prefect}/runs/flow-run/{run['id']}")
    page.get_by_role("button", name="Resume").click()
    form = page.locator(".p-modal").first
    _see_both(page, form).fill("Grace")  # to reject is chosen until somebody chooses
    browser.keep(page, "prefect-approval-reject")
    form.get_by_role("button", name="Submit", exact=True).click()
    form.wait_for(state="hidden")


def _see_both(page: "Page", form: "Locator") -> "Locator":
    """See candidate and champion, and return where the name goes: on the screen as it opens."""
    for words in ("candidate", "champion (version 1)", "bits per byte", "accuracy (95 %)"):
        form.get_by_text(words).first.wait_for()
    name = form.locator("textarea").first
    box = name.bounding_box()
    assert box is not None
    assert page.viewport_size is not None
    assert box["y"] < page.viewport_size["height"], "the form is below the fold"
    return name
