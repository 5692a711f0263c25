"""Who may look at the dashboard."""

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from components.core.settings import settings
from dashboards.login import is_right

_PAGE = """
import streamlit as st
from dashboards.login import let_in
let_in()
st.text("secret numbers")
"""


def _shown(page: AppTest) -> str:
    return " ".join(text.value for text in [*page.text, *page.error])


@pytest.fixture
def everywhere():
    """A server that listens on every address."""
    before = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    yield
    config.set_option("server.address", before)


@pytest.fixture
def locked(monkeypatch, everywhere):
    monkeypatch.setenv("BLOOMERY_AUTH", "ada:correct horse: battery")
    settings.cache_clear()


def test_both_halves_of_a_login_have_to_be_right():
    wanted = ("ada", "pässword")
    assert is_right(("ada", "pässword"), wanted)
    assert not is_right(("ada", "password"), wanted)
    assert not is_right(("bob", "pässword"), wanted)


def test_without_a_login_nothing_is_shown_beyond_this_machine(everywhere, monkeypatch):
    monkeypatch.delenv("BLOOMERY_AUTH", raising=False)
    page = AppTest.from_string(_PAGE).run(timeout=60)
    assert "secret numbers" not in _shown(page)
    assert "Set BLOOMERY_AUTH" in _shown(page)


def test_nothing_is_shown_before_the_right_login_and_all_after_it(locked):
    page = AppTest.from_string(_PAGE).run(timeout=60)
    assert "secret numbers" not in _shown(page)
    for password in ("wrong", "correct horse: battery"):
        page.text_input[0].input("ada")
        page.text_input[1].input(password)
        page.button[0].click().run(timeout=60)
        assert ("secret numbers" in _shown(page)) == (password != "wrong")
    assert not page.exception
