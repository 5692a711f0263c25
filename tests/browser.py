"""Debian's Chromium, as people open it, for the tests of pages."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_LACKING = [
    name
    for name, is_there in (
        ("playwright (pip install playwright)", importlib.util.find_spec("playwright")),
        ("Chromium (apt install chromium)", _CHROMIUM),
    )
    if not is_there
]
MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(bool(_LACKING), reason=f"There is no {' and no '.join(_LACKING)}."),
]
_SCREENSHOTS = Path(__file__).resolve().parents[1] / ".ci" / "screenshots"
DASHBOARD = ("overview", "compare", "training", "data", "playground")
"""The pages of the dashboard, by the last part of their address."""
_MILLISECONDS = 60_000  # of patience with a page on a busy machine


def is_there() -> bool:
    """Return whether tests can open a page."""
    return not _LACKING


@contextmanager
def opened() -> "Iterator[Page]":
    """Yield an empty page of a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(_MILLISECONDS)
        yield page
        chromium.close()


def open_dashboard(page: "Page", url: str, name: str) -> None:
    """Open a page of the dashboard and wait until it is drawn."""
    page.goto(url if name == "overview" else f"{url}/{name}")
    page.get_by_role("heading", level=2).first.wait_for(timeout=2 * _MILLISECONDS)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stSpinner]') && "
        "document.querySelector('.stApp').dataset.testScriptState === 'notRunning'",
        timeout=2 * _MILLISECONDS,
    )


def keep(page: "Page", name: str) -> None:
    """Keep a screenshot for whoever looks at what the tests saw."""
    page.screenshot(path=_SCREENSHOTS / f"{name}.png")
