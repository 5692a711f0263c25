"""Servers that are away are said to be, at once and with the remedy."""

import time

import pytest

from components.core.settings import settings
from dashboards.reading.sources import (
    Unreachable,
    ask_prefect,
    experiment,
    mlflow_client,
    prefect_url,
)


@pytest.fixture
def nobody(monkeypatch):
    """Addresses that nobody listens at."""
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "ask"),
    [("MLflow", mlflow_client), ("Prefect", lambda: ask_prefect("/flows/filter", {}))],
)
def test_a_server_that_is_down_is_named_with_the_remedy_and_nobody_waits_long(nobody, name, ask):
    start = time.monotonic()
    with pytest.raises(Unreachable, match=rf"{name} at http://127\.0\.0\.1:9.*bloomery up"):
        ask()
    assert time.monotonic() - start < 30


def test_prefects_address_is_the_one_that_its_own_tools_use(nobody):
    assert prefect_url() == "http://127.0.0.1:9"


def test_reading_makes_no_experiment_where_there_is_none(monkeypatch, home):
    monkeypatch.setenv("BLOOMERY_EXPERIMENT", "nothing-yet")
    settings.cache_clear()
    mlflow = mlflow_client()
    assert experiment(mlflow) == []
    assert mlflow.get_experiment_by_name("nothing-yet") is None
