"""Debian's Chromium, as people open it, for the tests of pages."""

import importlib.util
import os
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
_MILLISECONDS = 60_000  # of patience with a page on a busy machine


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


def keep(page: "Page", name: str) -> None:
    """Keep a screenshot if `BLOOMERY_SCREENSHOTS` names a folder for them."""
    if folder := os.environ.get("BLOOMERY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")
