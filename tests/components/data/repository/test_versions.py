"""The data of a run comes back from MLflow alone: no records, no journal, an empty cache."""

import json
import shutil
from pathlib import Path

import pytest

from components.core.execute import execute
from components.core.journal import Origin
from components.core.record import read_record
from components.core.settings import settings
from components.data.clean import Clean
from components.data.document import write_documents
from components.data.repository import dataset, speeches
from components.data.repository.pinned import pinned_files
from components.data.repository.versions import revision_of
from components.data.sources.source import Source
from components.data.take_documents import TakeDocuments, documents_in
from components.release.registry import register
from dashboards.text.lineage import chain

ROOT = Path(__file__).parents[4]
OLD_RECORD = {
    "component": "data.ingest",
    "version": "1.1.0",
    "fingerprint": "0123456789abcdef",
    "config": {"sources": []},
    "inputs": {},
    "files": {},
    "seed": None,
    "seconds": 1.0,
    "devices": "2 x x86_64 CPU",
    "packages": {},
    "git_revision": None,
    "mlflow_run_id": None,
}
ORIGIN = Origin(run_id="0a1b-flow-run", run_name="able-seal", flow="data")


def add(project: Path, home: Path, text: str) -> str:
    source = project / "mine.txt"
    source.write_text(text)
    return dataset.add(project, home, "mine", Source(location=str(source))).revision


@pytest.fixture
def project(tmp_path, home, monkeypatch) -> Path:
    """Make a project with three addresses, of which all is pinned and pushed."""
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)
    three = list(speeches.documents())[:3]
    write_documents(project / "data" / "speeches" / "documents.jsonl", three)
    pin = dataset.digest(project / "data")
    (project / "data.dvc").write_text(f"outs:\n- md5: {pin}\n  hash: md5\n  path: data\n")
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    settings.cache_clear()
    return project


def test_a_run_of_which_only_mlflow_knows_gives_its_exact_data_back(project, home, tmp_path):
    used = add(project, home, "What the run was made of.")
    taken = execute(TakeDocuments(), documents_in(pinned_files()), ORIGIN)
    clean = execute(Clean(min_characters=1), taken, ORIGIN)
    assert revision_of("able-seal") == revision_of("0a1b-flow-run") == used
    taken_run, clean_run = (read_record(made.path).mlflow_run_id for made in (taken, clean))
    tags = {"path": f"release.register/1.0.0/{clean.path.name}", "candidate": "", "report": ""}
    register("a-model", Path(__file__).parent, tags)
    later = add(project, home, "What came later.")
    for known in (settings().artifacts, settings().runs, home / "dvc-cache"):
        shutil.rmtree(known)

    for name in (clean_run, taken_run, "able-seal", "0a1b-flow-run", "a-model", used):
        assert revision_of(name) == used
    dataset.bring(project, home, revision_of(clean_run), tmp_path / "again")
    assert dataset.digest(tmp_path / "again") == used
    [text] = (tmp_path / "again" / "mine").iterdir()
    assert "What the run was made of." in text.read_text()
    assert dataset.revision(project) == later
    assert dataset.status(project) == "clean"


def test_a_run_that_made_nothing_gives_back_the_revision_that_it_read(project, home):
    execute(TakeDocuments(), documents_in(pinned_files()), ORIGIN)
    later = add(project, home, "What the second run could have read, and did not.")
    second = Origin(run_id="0a1c-flow-run", run_name="calm-otter", flow="data")
    found = execute(TakeDocuments(), documents_in(pinned_files(), ("speeches",)), second)
    assert found.revision != later, "it is the first run's"
    clean = execute(Clean(), found, second)
    assert revision_of("calm-otter") == later
    assert read_record(clean.path).data_revision == later, "which holds all that it was made of"


def test_a_run_of_the_layout_before_this_still_gives_its_data_and_its_lineage(home):
    old = settings().artifacts / "data.ingest" / "1.1.0" / "0123456789abcdef"
    old.mkdir(parents=True)
    revision = f"{'7' * 32}.dir"
    record = OLD_RECORD | {
        "artifact": {"path": "data.ingest/1.1.0/0123456789abcdef", "revision": revision}
        | {"fingerprint": "0123456789abcdef", "sources": ["speeches"]},
        "data_revision": revision,
    }
    (old / "artifact.json").write_text(json.dumps(record))
    folder = settings().runs / "an-old-run"
    folder.mkdir(parents=True)
    origin = {"run_id": "an-old-run", "run_name": "grey-elk", "flow": "pipeline"}
    (folder / "run.json").write_text(json.dumps({"origin": origin, "started": "2026-10-01T00:00Z"}))
    step = {"component": "data.ingest", "version": "1.1.0", "fingerprint": "0123456789abcdef"}
    step |= {"cached": False, "seconds": 1.0, "path": "data.ingest/1.1.0/0123456789abcdef"}
    (folder / "steps.jsonl").write_text(json.dumps(step) + "\n")
    assert revision_of("grey-elk") == revision
    assert chain(old)["data_revision"] == revision


@pytest.mark.parametrize("name", ["nobody", "0" * 32, "a'b or 1=1"])
def test_a_name_that_nothing_bears_is_refused(name):
    with pytest.raises(ValueError, match=r"No run or model .* of which the data is known"):
        revision_of(name)
