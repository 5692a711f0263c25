"""The ingest flow on a real Prefect server: the form it has, the event it emits."""

import shutil
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness
from prefect.utilities.callables import parameter_schema

from components.core.settings import settings
from components.data import dataset
from components.data.sources.source import Source
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
def test_a_new_revision_is_an_event_and_a_password_is_refused(project, tmp_path):
    (tmp_path / "a.txt").write_text("A document.")
    with prefect_test_harness(server_startup_timeout=240):
        made = ingest("mine", Source(location=str(tmp_path / "a.txt")))
        assert made.revision == dataset.revision(project)
        events = wait_for_events()
        with pytest.raises(ValueError, match="looks like a password"):
            ingest("mine", Source(location="postgresql://me:pw@host/db", query="select 1"))
    [event] = events
    assert event["resource"]["prefect.resource.id"] == "bloomery.data.mine"
    assert event["payload"]["revision"] == made.revision
    assert event["payload"]["documents"] == 1


def wait_for_events() -> list[dict]:
    deadline = time.monotonic() + 120
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            wanted = {"filter": {"event": {"name": [REVISED]}}}
            found = client._client.post("/events/filter", json=wanted).json()["events"]
            if found:
                return found
            time.sleep(0.5)
    raise AssertionError("no event")
