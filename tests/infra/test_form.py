"""The form of a run, in both of Prefect's interfaces: the run gets what the form shows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flows.changes import changed
from flows.parameters import wanted
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


def _new_run(stack: Stack, before: set[str]) -> dict[str, Any]:
    [run] = until(lambda: [run for run in _runs(stack) if run["id"] not in before], 30)
    return run


@pytest.mark.parametrize("interface", ["v1", "v2"])
def test_a_recipe_that_is_written_out_is_the_one_that_runs(
    planning: Stack, page: "Page", interface: str
) -> None:
    before = {run["id"] for run in _runs(planning)}
    form = Form(page, planning, interface)
    form.choose("Written out", "Recipe")
    form.fill("150", "Corpus", "Clean", "Min Characters")
    form.choose("Existing Model", "Pretrain")
    form.fill("/models/otter", "Pretrain", "Source")
    form.choose("None", "Align")
    form.submit()
    run = _new_run(planning, before)
    changes = ["clean.min_characters=150", "pretrain.source=/models/otter", "align=null"]
    made = wanted("pipeline", run["parameters"]["recipe"], run["parameters"].get("set", ()))
    assert made == changed(tiny(), changes)


@pytest.mark.parametrize("interface", ["v1", "v2"])
def test_a_form_that_nobody_touched_starts_the_recipe_that_it_shows(
    planning: Stack, page: "Page", interface: str
) -> None:
    before = {run["id"] for run in _runs(planning)}
    form = Form(page, planning, interface)
    form.at("Recipe").get_by_text("tiny", exact=True).first.wait_for()
    page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)
    browser.keep(page, f"prefect-form-{interface}")
    form.submit()
    given = _new_run(planning, before)["parameters"]
    assert (given.get("recipe", "tiny"), given.get("set", [])) == ("tiny", [])


@pytest.mark.parametrize("interface", ["v1", "v2"])
def test_a_change_that_fits_nowhere_is_refused_beside_its_field(
    planning: Stack, page: "Page", interface: str
) -> None:
    before = {run["id"] for run in _runs(planning)}
    form = Form(page, planning, interface)
    form.at("Set").get_by_role("button", name="Add item").click()
    form.fill("pretrain.dept=3", "Set")
    form.submit()
    page.get_by_text("pretrain has no field 'dept'. Did you mean 'depth'?").first.wait_for()
    assert {run["id"] for run in _runs(planning)} == before
    page.mouse.move(0, 0)  # a notice over the button stays as long as the mouse is on it
    form.fill("pretrain.depth=3", "Set")
    page.wait_for_timeout(2 * _DEBOUNCE_MILLISECONDS)  # it is checked again by itself
    page.locator("[data-sonner-toast]").first.wait_for(state="hidden")
    form.submit()
    parameters = until(lambda: [r for r in _runs(planning) if r["id"] not in before], 30)[0]
    assert parameters["parameters"] == {"recipe": "tiny", "set": ["pretrain.depth=3"]}


def test_changes_are_written_as_json_too(planning: Stack, page: "Page") -> None:
    before = {run["id"] for run in _runs(planning)}
    form = Form(page, planning, "v2")
    form.choose("JSON", "Set")
    page.locator(".cm-content").first.fill('{"pretrain.depth": 4}')
    page.wait_for_timeout(_DEBOUNCE_MILLISECONDS)
    form.submit()
    assert _new_run(planning, before)["parameters"]["set"] == {"pretrain.depth": 4}
