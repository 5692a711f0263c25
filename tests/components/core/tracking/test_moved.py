"""A moved or copied home: MLflow's files of new and of old runs are in the home that is in use."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.core.settings import settings
from components.core.tracking.client import client, experiment_id
from components.core.tracking.moved import elsewhere, follow_home
from components.release.registry import register
from flows.command.doctor import findings
from tests.places import postgres

pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A home with an experiment, a run with a file, and a registered model."""
    home = tmp_path_factory.mktemp("made") / "home with spaces & ü"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLOOMERY_TRACKING_URI", "")
        patch.setenv("BLOOMERY_HOME", str(home))
        settings.cache_clear()
        leave_a_run_and_a_model()
    settings.cache_clear()
    return home


def leave_a_run_and_a_model() -> None:
    mlflow = client()
    run = mlflow.create_run(experiment_id(mlflow))
    mlflow.log_text(run.info.run_id, "made before", "note.txt")
    (folder := settings().home / "model").mkdir()
    (folder / "weights").write_text("w")
    register("toy", folder, {"path": "model"})


@pytest.fixture
def use(monkeypatch):
    """Return a function by which this process uses a home."""

    def use(home: Path) -> None:
        monkeypatch.setenv("BLOOMERY_TRACKING_URI", "")
        monkeypatch.setenv("BLOOMERY_HOME", str(home))
        settings.cache_clear()

    return use


def mentions(home: Path, old: Path) -> list[tuple[str, str]]:
    """Return every column of MLflow's database that has the old place in it, by plain SQL."""
    found = []
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                query = f'SELECT count(*) FROM "{table}" WHERE instr("{column}", ?)'
                for name in (str(old), old.as_uri()):
                    if connection.execute(query, (f"{name}/",)).fetchone()[0]:
                        found.append((table, column))
    return found


def holds_its_files(home: Path) -> None:
    """Check that old and new runs and models have their files in this home."""
    mlflow = client()
    [run] = mlflow.search_runs([experiment_id(mlflow)])
    assert run.info.artifact_uri.startswith(f"{home.as_uri()}/")
    downloaded = mlflow.download_artifacts(run.info.run_id, "note.txt")
    assert Path(downloaded).read_text() == "made before"
    [version] = mlflow.search_model_versions("name = 'toy'")
    assert version.source.startswith(f"{home.as_uri()}/")
    new = mlflow.create_run(experiment_id(mlflow))
    mlflow.log_text(new.info.run_id, "new", "note.txt")
    assert list((home / "mlflow" / "artifacts" / new.info.run_id).rglob("note.txt"))
    mlflow.delete_run(new.info.run_id)


def test_a_moved_home_has_all_in_its_new_place_and_the_old_is_not_made_again(made, use, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(made, old)
    use(old)
    client()
    old.rename(new)
    use(new)
    assert elsewhere() == {old: 5}
    holds_its_files(new)
    assert not old.exists()
    assert elsewhere() == {}
    assert mentions(new, old) == []


def test_a_copied_home_is_its_own_and_leaves_the_first_alone(made, use, tmp_path, caplog):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    before = (made / "mlflow" / "mlflow.db").read_bytes()
    use(copy)
    client()
    [said] = [record.getMessage() for record in caplog.records if "moved" in record.getMessage()]
    assert str(made) in said
    assert str(copy) in said
    holds_its_files(copy)
    assert mentions(copy, made) == []
    assert (made / "mlflow" / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_home_of_an_earlier_build_which_noted_no_place_follows_too(made, use, tmp_path, how):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(made, old)
    use(old)
    client()
    (old / "mlflow" / "home.txt").unlink()
    shutil.copytree(old, new)
    if how == "moved":
        shutil.rmtree(old)
    use(new)
    holds_its_files(new)
    assert mentions(new, old) == []


def test_a_database_that_was_put_back_from_an_older_day_is_found_and_mended_by_the_doctor(
    made, use, tmp_path
):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(made, old)
    use(old)
    client()
    kept = (old / "mlflow" / "mlflow.db").read_bytes()
    old.rename(new)
    use(new)
    client()
    assert findings()["moved"] == "no, all places are in this home"
    (new / "mlflow" / "mlflow.db").write_bytes(kept)
    assert findings()["moved"] == f"5 places in MLflow's database named {old}: mended"
    assert mentions(new, old) == []
    holds_its_files(new)


def test_files_that_were_put_elsewhere_on_purpose_stay_there(use, tmp_path, monkeypatch):
    use(tmp_path / "home")
    place = (tmp_path / "large disk" / "mlflow" / "artifacts").as_uri()
    monkeypatch.setenv("BLOOMERY_MLFLOW_ARTIFACTS", place)
    settings.cache_clear()
    mlflow = client()
    run = mlflow.create_run(experiment_id(mlflow))
    mlflow.log_text(run.info.run_id, "x", "note.txt")
    (tmp_path / "home").rename(tmp_path / "moved")
    use(tmp_path / "moved")
    mlflow = client()
    assert mlflow.get_run(run.info.run_id).info.artifact_uri.startswith(place)
    monkeypatch.delenv("BLOOMERY_MLFLOW_ARTIFACTS")
    settings.cache_clear()
    assert client().get_run(run.info.run_id).info.artifact_uri.startswith(place)


def test_another_tracking_server_is_not_of_this_home(monkeypatch, tmp_path):
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "http://127.0.0.1:9")
    settings.cache_clear()
    follow_home()
    assert elsewhere() == {}
    assert not (settings().home / "mlflow").exists()


@pytest.mark.prove
def test_on_postgres_a_moved_home_follows_and_a_copy_is_told_to_part(
    use, tmp_path, monkeypatch, caplog
):
    with postgres("mlflow") as server:
        monkeypatch.setenv("BLOOMERY_MLFLOW_DATABASE", f"{server}/mlflow")
        old, new, copy = tmp_path / "old", tmp_path / "new", tmp_path / "copy"
        use(old)
        leave_a_run_and_a_model()
        old.rename(new)
        use(new)
        holds_its_files(new)
        assert elsewhere() == {}
        shutil.copytree(new, copy)
        use(copy)
        mlflow = client()
        assert "a copy of" in caplog.text
        assert "BLOOMERY_EXPERIMENT" in caplog.text
        [run, *_] = mlflow.search_runs([experiment_id(mlflow)])
        assert run.info.artifact_uri.startswith(f"{new.as_uri()}/"), "the first home lost its runs"
        hang_up(server)


def hang_up(server: str) -> None:
    """End the connections that MLflow keeps, for which the server would wait."""
    import psycopg

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'mlflow'"
        connection.execute(others)
