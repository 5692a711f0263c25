"""The form of a run, in both of Prefect's interfaces: the run gets what the form shows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flows.changes import changed
from flows.recipes import tiny
from tests import browser
from tests.infra.stacks import Stack, until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [*browser.MARKS, pytest.mark.prove]

# the property of a schema that has a label, where each interface draws it
_PROPERTY = {
    "v1": (
        ".schema-form-property",
        "xpath=./div[contains(@class,'p-label__header')]"
        "//span[contains(@class,'schema-form-property__label') and normalize-space()='{}']",
    ),
    "v2": ("div.group", "xpath=./div[1]/div[1]/label[normalize-space()='{}']"),
}
_TAB = {"v1": "button", "v2": "tab"}
_ADDRESS = {"v1": "", "v2": "/v2"}
_DEBOUNCE_MILLISECONDS = 1_000  # the new interface takes a value over after a while


class Form:
    """The form of the deployment `pipeline`."""

    def __init__(self, page: "Page", stack: Stack, interface: str) -> None:
        """Open it."""
        self._page, self._interface = page, interface
        deployment = stack.deployment("pipeline")["id"]
        path = f"{_ADDRESS[interface]}/deployments/deployment/{deployment}/run"
        page.goto(f"{stack.prefect}{path}")

    def at(self, *labels: str) -> "Locator":
        """Return the property that labels lead to, each within the one before."""
        found = self._page.locator("body")
        place, label = _PROPERTY[self._interface]
        for name in labels:
            options = [
                found.locator(place, has=self._page.locator(label.format(text)))
                for text in (f"{name} (Optional)", name)
            ]
            found = options[0].or_(options[1]).first
            found.wait_for()
        return found

    def fill(self, value: str, *labels: str) -> None:
        """Write a value."""
        self.at(*labels).locator("input, textarea").first.fill(value)
        self._page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)

    def choose(self, alternative: str, *labels: str) -> None:
        """Choose the tab of an alternative."""
        tab = self.at(*labels).get_by_role(_TAB[self._interface], name=alternative, exact=True)
        tab.first.click()
        self._page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)

    def submit(self) -> None:
        """Send it."""
        self._page.get_by_role("button", name="Submit", exact=True).click()


@pytest.fixture
def page() -> "Iterator[Page]":
    with browser.opened() as page:
        yield page


def _runs(stack: Stack) -> list[dict[str, Any]]:
    body = {"deployments": {"name": {"any_": ["pipeline"]}}}
    return stack.call("/flow_runs/filter", body)[1]


@pytest.mark.parametrize("interface", ["v1", "v2"])
def test_a_value_is_changed_an_alternative_chosen_and_a_stage_left_out(
    planning: Stack, page: "Page", interface: str
) -> None:
    before = {run["id"] for run in _runs(planning)}
    form = Form(page, planning, interface)
    form.fill("150", "Corpus", "Clean", "Min Characters")
    form.choose("Existing Model", "Pretrain")
    form.fill("/models/otter", "Pretrain", "Source")
    form.choose("None", "Align")
    browser.keep(page, f"prefect-form-{interface}")
    form.submit()
    [run] = until(lambda: [run for run in _runs(planning) if run["id"] not in before], 30)
    changes = ["clean.min_characters=150", "pretrain.source=/models/otter", "align=null"]
    assert run["parameters"]["recipe"] == changed(tiny(), changes).model_dump(mode="json")


@pytest.mark.parametrize("interface", ["v1", "v2"])
def test_a_form_that_nobody_touched_starts_the_recipe_that_it_shows(
    planning: Stack, page: "Page", interface: str
) -> None:
    before = {run["id"] for run in _runs(planning)}
    form = Form(page, planning, interface)
    form.at("Compress", "Quantize")
    page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)
    form.submit()
    [run] = until(lambda: [run for run in _runs(planning) if run["id"] not in before], 30)
    given = run["parameters"].get("recipe", tiny().model_dump(mode="json"))
    assert given == tiny().model_dump(mode="json")
