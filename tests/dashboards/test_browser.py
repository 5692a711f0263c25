"""Every page in a real browser, over a real store: no exception, no markup out of data."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core.servers.endpoints import tracking_uri
from components.core.settings import settings
from tests import browser
from tests.dashboards import store

pytestmark = browser.MARKS

_CHECKOUT = Path(__file__).resolve().parents[2]
_SECONDS = 120  # a busy machine imports torch for half a minute


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


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
    port = _free_port()
    environment = {
        **os.environ,
        "BLOOMERY_TRACKING_URI": tracking_uri(),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PYTHONPATH": str(_CHECKOUT),
    }
    app = str(_CHECKOUT / "dashboards" / "app.py")
    command = [sys.executable, "-m", "streamlit", "run", app, "--server.port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=_CHECKOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _SECONDS
        while not _answers(f"{url}/_stcore/health"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


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
