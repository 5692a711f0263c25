"""The record: what was written by an earlier layout opens; what is damaged says so."""

from pathlib import Path

import pytest

from components.core.artifacts.data import Documents
from components.core.journal import Origin, Step, find_run, write_step
from components.core.record import RECORD, read_record, verify
from components.core.settings import settings
from components.data.repository.versions import revision_of
from dashboards.text import lineage
from dashboards.text.report import report_of

# As `bloomery run` wrote them at commit 805fcbe, with fewer files.
_INGESTED = """{
  "component": "data.ingest",
  "version": "1.1.0",
  "fingerprint": "2d869bc11c4112d8",
  "config": {"sources": []},
  "inputs": {},
  "artifact": {
    "path": "data.ingest/1.1.0/2d869bc11c4112d8",
    "fingerprint": "2d869bc11c4112d8",
    "revision": "d6aeb58f4a7f87909af121606855beaa.dir",
    "sources": ["library"]
  },
  "files": {
    "library/documents.jsonl": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
  },
  "seed": null,
  "seconds": 21.551,
  "devices": "2 x x86_64 CPU",
  "packages": {"python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
  "git_revision": "805fcbeacdc1f8b1d26af7c6b9d8d0013e52ccea",
  "data_revision": "d6aeb58f4a7f87909af121606855beaa.dir",
  "mlflow_run_id": "0ff3e9fbad2b46c89c87ca68776ce597"
}
"""
_RELEASED = """{
  "component": "release.register",
  "version": "1.0.0",
  "fingerprint": "77aa9bc11c4112d8",
  "config": {"model_name": "bloomery-tiny"},
  "inputs": {
    "data": {"path": "data.ingest/1.1.0/2d869bc11c4112d8", "fingerprint": "2d869bc11c4112d8"}
  },
  "artifact": {
    "path": "release.register/1.0.0/77aa9bc11c4112d8",
    "fingerprint": "77aa9bc11c4112d8",
    "name": "bloomery-tiny",
    "registered_version": 3,
    "alias": "champion"
  },
  "files": {},
  "seed": 7,
  "seconds": 1.618,
  "devices": "2 x x86_64 CPU",
  "packages": {"python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
  "git_revision": "805fcbeacdc1f8b1d26af7c6b9d8d0013e52ccea+",
  "data_revision": "d6aeb58f4a7f87909af121606855beaa.dir",
  "mlflow_run_id": null
}
"""
_REVISION = "d6aeb58f4a7f87909af121606855beaa.dir"


@pytest.fixture
def released() -> Path:
    """Return the folder of a release whose lineage an earlier layout wrote."""
    ingested = settings().artifacts / "data.ingest" / "1.1.0" / "2d869bc11c4112d8"
    (ingested / "library").mkdir(parents=True)
    (ingested / "library" / "documents.jsonl").write_text("hello\n", encoding="utf-8")
    (ingested / RECORD).write_text(_INGESTED, encoding="utf-8")
    folder = settings().artifacts / "release.register" / "1.0.0" / "77aa9bc11c4112d8"
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(_RELEASED, encoding="utf-8")
    return folder


def test_a_record_from_before_machines_were_noted_opens_and_proves_its_files(released):
    record = read_record(released)
    assert record.machine is None
    assert record.packages["torch"] == "2.13.0+cpu"
    source = Documents.model_validate(read_record(record.inputs["data"].path).artifact)
    verify(source)
    (source.path / "library" / "documents.jsonl").write_text("hallo\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"documents\.jsonl is not the file that data\.ingest"):
        verify(source)


def test_the_lineage_of_an_old_release_leads_to_its_data(released):
    above = lineage.chain(released)
    assert above["inputs"]["data"]["fingerprint"] == "2d869bc11c4112d8"
    assert above["inputs"]["data"]["data_revision"] == _REVISION
    text = lineage.markdown(released, lambda run: f"http://mlflow/{run}")
    assert text.endswith(f"data revision `{_REVISION}`")


def test_the_journal_of_an_old_run_gives_its_scorecard_and_the_revision_of_its_data(released):
    origin = Origin(run_id="id-old", run_name="old-otter", flow="pipeline")
    step = Step(
        component="release.register",
        version="1.0.0",
        fingerprint=released.name,
        cached=False,
        seconds=1.6,
        path=released,
    )
    write_step(origin, step)
    assert revision_of("old-otter") == _REVISION
    report = report_of(*find_run("old-otter"))
    assert report.data_revision == _REVISION
    assert report.model is not None
    assert (report.model.name, report.model.version) == ("bloomery-tiny", 3)
    assert report.stages[0].machine is None


def test_a_field_that_no_layout_knows_is_an_error_that_names_it(released):
    file = released / RECORD
    file.write_text(file.read_text("utf-8").replace('"devices"', '"device"'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"(?s)is damaged .*device"):
        read_record(released)
