"""The data of a run comes back from MLflow alone: no records, no journal, an empty cache."""

import shutil
from pathlib import Path

import pytest

from components.core.artifacts.data import DataRevision
from components.core.execute import execute
from components.core.journal import Origin
from components.core.record import read_record
from components.core.settings import settings
from components.data.clean import Clean
from components.data.document import write_documents
from components.data.ingest import Ingest
from components.data.repository import dataset, speeches
from components.data.repository.versions import revision_of
from components.data.sources.source import Source
from components.release.registry import register

ROOT = Path(__file__).parents[4]
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
    raw = execute(Ingest(), DataRevision(revision=used), ORIGIN)
    clean = execute(Clean(min_characters=1), raw, ORIGIN)
    assert revision_of("able-seal") == revision_of("0a1b-flow-run") == used
    ingest_run, clean_run = (read_record(made.path).mlflow_run_id for made in (raw, clean))
    tags = {"path": f"release.register/1.0.0/{clean.path.name}", "candidate": "", "report": ""}
    register("a-model", Path(__file__).parent, tags)
    later = add(project, home, "What came later.")
    for known in (settings().artifacts, settings().runs, home / "dvc-cache"):
        shutil.rmtree(known)

    for name in (clean_run, ingest_run, "able-seal", "0a1b-flow-run", "a-model", used):
        assert revision_of(name) == used
    dataset.bring(project, home, revision_of(clean_run), tmp_path / "again")
    assert dataset.digest(tmp_path / "again") == used
    [text] = (tmp_path / "again" / "mine").iterdir()
    assert "What the run was made of." in text.read_text()
    assert dataset.revision(project) == later
    assert dataset.status(project) == "clean"


@pytest.mark.parametrize("name", ["nobody", "0" * 32, "a'b or 1=1"])
def test_a_name_that_nothing_bears_is_refused(name):
    with pytest.raises(ValueError, match=r"No run or model .* of which the data is known"):
        revision_of(name)
