"""The ingest flow on a real Prefect server: the form it has, the event it emits."""

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness
from prefect.utilities.callables import parameter_schema
from typer.testing import CliRunner

from components.core.settings import settings
from components.data.repository import dataset
from components.data.sources.source import Source
from flows.command import data
from flows.command.app import app
from flows.ingest import REVISED, ingest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, home, monkeypatch) -> Path:
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)
    (project / "data").mkdir()
    (project / "data" / "notes").write_text("kept")
    pin = dataset.digest(project / "data")
    (project / "data.dvc").write_text(f"outs:\n- md5: {pin}\n  hash: md5\n  path: data\n")
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    settings.cache_clear()
    return project


def test_the_flow_has_a_form_in_which_every_field_is_explained():
    schema = parameter_schema(ingest).model_dump_for_openapi()
    assert set(schema["properties"]) == {"name", "source", "evaluation", "append"}
    fields = schema["definitions"]["Source"]["properties"]
    assert all(field["description"] for field in fields.values())


@pytest.mark.slow
def test_a_new_revision_is_an_event_whoever_made_it_and_a_password_is_refused(
    project, tmp_path, monkeypatch
):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"Document {name}.")
    with prefect_test_harness(server_startup_timeout=240):
        made = ingest("mine", Source(location=str(tmp_path / "a.txt")))
        assert made.revision == dataset.revision(project)
        [first] = wait_for_events(1)
        same = ingest("mine", Source(location=str(tmp_path / "a.txt")))
        assert same == made, "the same documents are no new revision, and no event"
        with pytest.raises(ValueError, match="looks like a password"):
            ingest("mine", Source(location="postgresql://me:pw@host/db", query="select 1"))
        api = str(get_current_settings().api.url).removesuffix("/api")
        servers = SimpleNamespace(prefect=api)
        monkeypatch.setattr(data, "running_servers", lambda: servers)
        monkeypatch.setenv("PREFECT_API_URL", f"{api}/api")
        words = ["data", "add", "yours", str(tmp_path / "b.txt")]
        assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
        events = wait_for_events(2)
    assert first["resource"]["prefect.resource.id"] == "bloomery.data.mine"
    assert first["payload"]["revision"] == made.revision
    assert first["payload"]["documents"] == 1
    [second] = [event for event in events if event["id"] != first["id"]]
    assert second["resource"]["prefect.resource.id"] == "bloomery.data.yours"
    assert second["payload"]["revision"] == dataset.revision(project)


def wait_for_events(number: int) -> list[dict]:
    deadline = time.monotonic() + 120
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            wanted = {"filter": {"event": {"name": [REVISED]}}}
            found = client._client.post("/events/filter", json=wanted).json()["events"]
            if len(found) >= number:
                return found
            time.sleep(0.5)
    raise AssertionError(f"not {number} events")
