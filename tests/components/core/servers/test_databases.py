"""URLs of databases: each tool its driver, a reason for what does not answer, no password shown."""

import pytest

from components.core.processes.ray_session import worker_environment
from components.core.servers.databases import (
    hidden,
    mlflow_database,
    prefect_database,
    refuse_dead_databases,
    server_environment,
)
from components.core.settings import settings

_URL = "postgresql://gardener:canary-71d2@127.0.0.1:1/flowers"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch):
    """Return a function that sets a setting."""

    def give(name: str, value: str) -> None:
        monkeypatch.setenv(f"BLOOMERY_{name}", value)
        settings.cache_clear()

    return give


def test_without_a_url_all_is_kept_in_files_under_home(home):
    assert prefect_database() is None
    assert server_environment() == {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{home}/mlflow/mlflow.db"
    }


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_each_tool_gets_the_driver_that_it_needs(given, scheme):
    url = _URL.replace("postgresql", scheme)
    given("PREFECT_DATABASE", url)
    given("MLFLOW_DATABASE", url)
    rest = _URL.partition("://")[2]
    assert prefect_database() == f"postgresql+asyncpg://{rest}"
    assert mlflow_database() == f"postgresql+psycopg://{rest}"


@pytest.mark.parametrize("name", ["PREFECT_DATABASE", "MLFLOW_DATABASE"])
def test_what_is_no_database_is_refused_with_the_form_that_is_wanted(given, name):
    given(name, "mysql://gardener:canary-71d2@host/flowers")
    with pytest.raises(ValueError, match=rf"BLOOMERY_{name}.*postgresql://user:password") as error:
        refuse_dead_databases()
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("name", ["PREFECT_DATABASE", "MLFLOW_DATABASE"])
def test_one_that_does_not_answer_is_named_without_its_password(given, name):
    given(name, _URL)
    with pytest.raises(ValueError, match=f"BLOOMERY_{name}=.*does not answer: .*refused") as error:
        refuse_dead_databases()
    assert "gardener:***@127.0.0.1:1/flowers" in str(error.value)
    assert "canary" not in str(error.value)
    assert "\n" not in str(error.value)


def test_the_password_of_every_url_in_a_text_is_hidden():
    assert hidden("from a://b:c@d/e to f://g:h%40@i and j://k@l, m://n:80/o") == (
        "from a://b:***@d/e to f://g:***@i and j://k@l, m://n:80/o"
    )
    assert hidden("a://b:c@d@e/f") == "a://b:***@e/f"


@pytest.mark.parametrize("name", ["PREFECT_DATABASE", "MLFLOW_DATABASE"])
def test_an_empty_url_is_none(given, name):
    given(name, "")
    refuse_dead_databases()
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in server_environment()
    assert mlflow_database().startswith("sqlite:///")


def test_workers_of_ray_get_no_secret(given):
    given("MLFLOW_DATABASE", _URL)
    given("AUTH", "gardener:canary-5f0c9e71d2")
    given("ARTIFACT_STORE", "memory://store")
    environment = worker_environment()
    assert environment["BLOOMERY_ARTIFACT_STORE"] == "memory://store"
    assert "canary" not in repr(environment)
    assert "canary" not in repr(settings())
