"""Every page in a real browser, over a real store: no exception, no markup out of data."""

import shutil
from collections.abc import Iterator

import pytest

from components.core.settings import settings
from tests import browser
from tests.dashboards import store
from tests.dashboards.serving import served

pytestmark = browser.MARKS

_SECONDS = 120  # a busy machine imports torch for half a minute


@pytest.fixture
def dashboard(mlflow, instruct) -> Iterator[str]:
    """The address of a dashboard over a store with two pipelines, a card and a model."""
    store.train(store.origin("one"), "base")
    store.pipeline("one", base="base")
    store.pipeline("two", base="base", beta=0.25)
    store.publish_card(store.origin("one"))
    folder = settings().artifacts / "release.register" / "1.0.0" / "toy-model"
    shutil.copytree(instruct.path, folder)
    store.release(folder, store.origin("one"))
    with served("http://127.0.0.1:9/api") as url:
        yield url


def test_every_page_opens_in_a_browser_and_the_playground_answers(dashboard):
    asked: list[str] = []
    with browser.opened() as page:
        page.on("request", lambda request: asked.append(request.url))
        for name in browser.DASHBOARD:
            browser.open_dashboard(page, dashboard, name)
            assert page.get_by_test_id("stException").count() == 0
            assert page.locator("img[onerror], img[src*='x.png']").count() == 0
            if name in ("compare", "training", "data"):
                page.locator(".vega-embed canvas, .vega-embed svg").first.wait_for(timeout=60_000)
            browser.keep(page, f"dashboard-{name}")
        box = page.get_by_test_id("stChatInputTextArea")
        box.fill("Count: 1 2 3")
        box.press("Enter")
        page.get_by_text("Next-token probabilities").first.wait_for(timeout=1000 * _SECONDS)
        assert page.get_by_test_id("stException").count() == 0
        browser.keep(page, "dashboard-playground-answer")
    own = (dashboard, dashboard.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
