"""From `/` of MLflow, by clicking alone: two pretrainings beside each other, the loss first."""

from typing import TYPE_CHECKING

import pytest

from flows.changes import changed
from flows.recipes import smoke
from tests import browser
from tests.infra.stacks import FINAL, Stack, fetch, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [*browser.MARKS, pytest.mark.prove]


def _pretrain(stack: Stack, rate: float) -> None:
    recipe = changed(smoke(), [f"pretrain.training.learning_rate={rate}"])
    run = stack.start("pretrain", {"recipe": recipe.model_dump(mode="json")})[1]["id"]
    until(lambda: stack.state(run) in FINAL, 300)
    assert stack.state(run) == "COMPLETED"


def _to_the_pretrainings(page: "Page", mlflow: str) -> None:
    """Click from the first page to the view of the pretrainings, as charts."""
    page.goto(mlflow)
    page.get_by_text("Model training", exact=True).first.click()
    page.get_by_role("link", name="bloomery").first.click()
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Pretrainings, best first").first.click()
    page.get_by_role("columnheader", name="validation_bits_per_byte").first.wait_for()
    browser.keep(page, "mlflow-pretrainings")


def _titles(page: "Page") -> list[str]:
    """Return the titles of the charts, as they are laid out."""
    cards = page.locator("[data-testid='experiment-view-compare-runs-card']")
    cards.first.wait_for()
    return [title.strip().splitlines()[0] for title in cards.all_inner_texts()]


def test_two_pretrainings_are_compared_from_the_first_page_with_the_loss_first(
    stack: Stack,
) -> None:
    for rate in (0.011, 0.022):
        _pretrain(stack, rate)
    with browser.opened() as page:
        _to_the_pretrainings(page, stack.mlflow)
        page.locator("label:has(input[name=runs-view-mode][value=CHART])").click()
        titles = _titles(page)
        browser.keep(page, "mlflow-charts")
    assert titles[0] == "loss"
    assert not any("/" in title for title in titles)


def test_no_metric_of_a_training_means_two_things_or_has_a_time_of_its_own(stack: Stack) -> None:
    _pretrain(stack, 0.011)
    wanted = {"experiment_ids": ["1"], "filter": "tags.component = 'pretrain.train'"}
    for run in fetch(f"{stack.mlflow}/api/2.0/mlflow/runs/search", wanted)[1]["runs"]:
        metrics = {each["key"]: each for each in run["data"]["metrics"]}
        ours = sorted(name for name in metrics if not name.startswith("system/"))
        assert ours[0] == "loss", "MLflow draws in alphabetical order"
        assert metrics["seconds"]["value"] >= metrics["training_seconds"]["value"]
        for each in metrics.values():
            assert (
                run["info"]["start_time"] <= each["timestamp"] <= run["info"]["end_time"] + 60_000
            )
