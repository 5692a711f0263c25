"""A visitor who begins at `/` and only clicks sees every page, in light and in dark."""

import shutil
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from components.core.journal import Origin
from components.core.settings import settings
from tests import browser
from tests.dashboards import flow_runs, store
from tests.dashboards.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [*browser.MARKS, pytest.mark.prove]

_PAGES = ("Compare models", "Training", "Data", "Playground", "Overview")
_SCHEMES = ("light", "dark")
_TRIES = 6


@pytest.fixture
def dashboard(mlflow, instruct, checkpoint):
    """A dashboard over forty runs: one of them failed, one all cached, and another planned."""
    with prefect_test_harness(server_startup_timeout=120):
        flow_runs.ended(36)
        for place, name in enumerate(("calm-heron", "brave-otter", "again", "unlucky")):
            run_id = flow_runs.ran(name, is_cached=name == "again", fails=name == "unlucky")
            of = Origin(run_id=run_id, run_name=name, flow="pipeline")
            store.journal(of, "base", is_cached=place > 0)
            store.note_model(of, "pretrain.adopt", checkpoint.path)
            store.note_model(of, "finetune.sft", instruct.path)
        flow_runs.planned("tonight", hours=3)
        for place in range(40):
            name = f"a-rather-long-name-{place}"
            store.pipeline(name, "base", beta=0.1 + place / 200, version=place or None)
            if place < 4:
                store.train(store.origin(name), f"base-{place}", num_steps=60)
        store.publish_card(store.origin("calm-heron"))
        folder = settings().artifacts / "release.register" / "1.0.0" / "toy-model"
        shutil.copytree(instruct.path, folder)
        store.release(folder, store.origin("calm-heron"))
        with served(PREFECT_API_URL.value()) as url:
            yield url


def test_all_pages_are_reached_by_clicking_alone(dashboard):
    with browser.opened() as page:
        page.set_viewport_size({"width": 1440, "height": 1100})
        page.goto(f"{dashboard}/overview")
        _wait(page, "Overview")
        assert page.get_by_text("Page not found").count() == 0
        for scheme in _SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.goto(dashboard)
            _wait(page, "Overview")
            _see_the_overview(page, scheme)
            for name in _PAGES:
                page.get_by_role("link", name=name, exact=True).click()
                _wait(page, name)
                assert page.get_by_test_id("stException").count() == 0
                browser.keep(page, f"walk-{name.split()[0].lower()}-{scheme}")
                if name == "Training":
                    _smooth(page, scheme)
                if name == "Playground":
                    _complete(page, scheme)


def _wait(page: "Page", name: str) -> None:
    page.get_by_role("heading", name=name, exact=True).first.wait_for(timeout=120_000)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stSpinner]') && "
        "document.querySelector('.stApp').dataset.testScriptState === 'notRunning'",
        timeout=120_000,
    )
    if name in ("Compare models", "Training", "Data"):
        page.locator(".vega-embed canvas, .vega-embed svg").first.wait_for()


def _see_the_overview(page: "Page", scheme: str) -> None:
    """See what happened, what is planned, and a graph whose words can be read."""
    page.get_by_role("heading", name="Steps of unlucky").wait_for()
    page.get_by_text("Planned: 1, the next at").click()
    words = page.locator(".stGraphVizChart svg text")
    words.first.wait_for()
    size = "text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a"
    assert min(word.evaluate(size) for word in words.all()) >= 12
    browser.keep(page, f"walk-start-{scheme}")
    table = page.get_by_test_id("stDataFrame").first
    table.click(position={"x": 17, "y": 88})  # the box of the second row
    page.get_by_role("heading", name="Steps of again").wait_for()
    page.get_by_text("Shared with other runs").wait_for()
    page.get_by_text("Scorecard", exact=True).wait_for()


def _smooth(page: "Page", scheme: str) -> None:
    """Smooth the curves over tokens, on a logarithmic scale."""
    for choice in ("Tokens", "up"):
        page.get_by_test_id("stMainBlockContainer").get_by_text(choice, exact=True).first.click()
    page.get_by_role("slider").first.press("ArrowRight")
    page.wait_for_timeout(2_000)
    assert page.get_by_test_id("stException").count() == 0
    browser.keep(page, f"walk-smoothed-{scheme}")


def _choose(page: "Page", place: int, name: str) -> None:
    """Choose from list number `place` of a page; one that is drawn anew closes its lists."""
    box = page.get_by_test_id("stSelectbox").nth(place).locator("input")
    option = page.get_by_role("option", name=name, exact=True)
    for _ in range(_TRIES):
        box.click()
        page.wait_for_timeout(2_000)
        if option.count():
            option.click()
            return
    pytest.fail(f"{name} is not among {page.get_by_role('option').all_inner_texts()}")


def _complete(page: "Page", scheme: str) -> None:
    """Have the base model of a run go on with a text."""
    for place, option in ((0, "calm-heron"), (1, "pretrain.adopt, float32")):
        _choose(page, place, option)
        _wait(page, "Playground")
    page.wait_for_function(  # for a moment there is the box of the mode before, too
        "[...document.querySelectorAll('[data-testid=stChatInputTextArea]')]"
        ".map(box => box.placeholder.slice(0, 12)).join() == 'Begin a text'"
    )
    text = page.get_by_test_id("stChatInputTextArea")
    text.fill("The state of the Union")
    text.press("Enter")
    page.get_by_text("Next-token probabilities").first.wait_for(timeout=120_000)
    assert page.get_by_test_id("stChatMessage").count() == 0, "it went through the chat template"
    browser.keep(page, f"walk-completion-{scheme}")
