"""`bloomery sync`: what MLflow missed is sent, and where it cannot be, that is one clear error."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.core.artifacts.data import DataFiles
from components.core.execute import address
from components.core.journal import Origin
from components.core.settings import settings
from components.core.tracking import shipping, spool
from components.data.take_documents import TakeDocuments
from flows.command.app import app

DONE = "MLflow has all of every step that is not at work.\n"


@pytest.fixture
def left() -> Path:
    """A step that was killed before it could ship anything."""
    out = address(TakeDocuments(), DataFiles(files=(), revision="1.dir"))
    out.mkdir(parents=True)
    spool.append(out, 1, {"loss": 0.5})
    shipping.save(out, shipping.prepare(TakeDocuments(), out, Origin(), None))
    return out


def test_sync_names_the_steps_it_completed_and_has_nothing_to_do_again(left: Path) -> None:
    assert CliRunner().invoke(app, ["sync"]).output == f"{left}\n{DONE}"
    assert CliRunner().invoke(app, ["sync"]).output == DONE


def test_sync_with_a_dead_server_says_which_and_keeps_the_points(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings.cache_clear()
    failed = CliRunner().invoke(app, ["sync"])
    assert isinstance(failed.exception, RuntimeError)
    assert "MLflow at http://127.0.0.1:9 did not take" in str(failed.exception)
    assert shipping.unshipped() == [left]
