"""Databases that were migrated once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.core.settings import settings
from infra import templates


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("BLOOMERY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home" / "prefect"))
    for name in (
        "BLOOMERY_TRACKING_URI",
        "PREFECT_API_DATABASE_CONNECTION_URL",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    return settings().home.resolve()


def test_a_new_home_begins_with_databases_that_need_no_migration_and_hold_nothing(
    home: Path,
) -> None:
    assert templates.begin_databases() == templates.HAS_BLOCKS
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as prefect:
        assert prefect.execute("select count(*) from alembic_version").fetchone() == (1,)
        assert prefect.execute("select count(*) from block_type").fetchone()[0] > 5
        for empty in ("flow_run", "deployment", "configuration", "block_document", "events"):
            assert prefect.execute(f"select count(*) from {empty}").fetchone() == (0,), empty
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as mlflow:
        assert mlflow.execute("select count(*) from alembic_version").fetchone() == (1,)
        assert mlflow.execute("select count(*) from experiments").fetchone() == (0,)


def test_a_database_that_is_there_is_left_as_it_is(home: Path) -> None:
    for name in ("prefect", "mlflow"):
        (home / name).mkdir(parents=True)
        (home / name / f"{name}.db").write_bytes(b"mine")
    assert templates.begin_databases() == {}
    assert (home / "prefect" / "prefect.db").read_bytes() == b"mine"
    assert (home / "mlflow" / "mlflow.db").read_bytes() == b"mine"


def test_a_database_elsewhere_gets_no_copy_in_the_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOOMERY_PREFECT_DATABASE", "postgresql://a:b@127.0.0.1:1/p")
    monkeypatch.setenv("BLOOMERY_MLFLOW_DATABASE", "postgresql://a:b@127.0.0.1:1/m")
    settings.cache_clear()
    assert templates.begin_databases() == {}
    assert not list(home.rglob("*.db"))


def test_an_environment_that_cannot_be_written_starts_as_it_would_without(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "share").write_text("a file where the folder would be")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert templates.begin_databases() == {}
    assert not list(home.rglob("*.db"))
