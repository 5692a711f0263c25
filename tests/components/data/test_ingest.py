"""Ingest: a private copy of exactly what `data.dvc` pins, whatever happens to `data/` later."""

import shutil
from itertools import islice
from pathlib import Path

import pytest

from components.core.artifacts.data import DataRevision
from components.core.settings import settings
from components.data.document import read_documents, write_documents
from components.data.ingest import Ingest, current_revision
from components.data.repository import dataset, library, speeches

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, home, monkeypatch) -> Path:
    """A project of its own that pins six real documents in two sources."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for source, name in ((speeches, "speeches"), (library, "library")):
        file = folder / "data" / name / "documents.jsonl"
        write_documents(file, islice(source.documents(), 3))
    (folder / "data" / "instructions").mkdir()
    (folder / "data" / "instructions" / "train.jsonl").write_text("{}\n")
    _pin(folder)
    monkeypatch.setenv("BLOOMERY_PROJECT", str(folder))
    settings.cache_clear()
    return folder


def _pin(project: Path) -> None:
    digest = dataset.digest(project / "data")
    pin = f"outs:\n- md5: {digest}\n  hash: md5\n  path: data\n"
    (project / "data.dvc").write_text(pin, encoding="utf-8")


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_the_copy_is_what_is_pinned_and_knows_its_sources(project, out):
    raw = Ingest().run(current_revision(), out)
    assert raw.revision == dataset.revision(project) == dataset.digest(out)
    assert raw.sources == ("library", "speeches")
    assert len(list(read_documents(raw.path / "speeches" / "documents.jsonl"))) == 3


def test_of_many_sources_those_are_taken_that_were_asked_for(project, out):
    raw = Ingest(sources=("speeches",)).run(current_revision(), out)
    assert raw.sources == ("speeches",)
    assert raw.revision == dataset.digest(out), "what was not asked for is proved too"
    with pytest.raises(ValueError, match=r"no documents of \['web'\]; it has: library, speeches"):
        Ingest(sources=("speeches", "web")).run(current_revision(), out)


def test_an_edit_of_the_data_does_not_reach_the_copy(project, out):
    raw = Ingest().run(current_revision(), out)
    file = project / "data" / "speeches" / "documents.jsonl"
    file.chmod(0o644)
    with file.open("a") as stream:
        stream.write("{}\n")
    assert dataset.digest(out) == raw.revision


def test_data_that_was_changed_by_hand_is_refused_before_anything_runs(project):
    (project / "data" / "speeches" / "extra.txt").write_text("not pinned")
    with pytest.raises(ValueError, match=r"is not what data\.dvc pins.*dvc checkout"):
        current_revision()


def test_another_revision_than_the_pinned_one_is_refused(project, out):
    with pytest.raises(ValueError, match=r"Revision 0\.dir is asked, but data\.dvc pins"):
        Ingest().run(DataRevision(revision="0.dir"), out)
    assert not list(out.iterdir())


def test_data_without_documents_is_refused_with_the_remedy(project, out):
    for name in ("speeches", "library"):
        shutil.rmtree(project / "data" / name)
    _pin(project)
    with pytest.raises(
        ValueError, match=r"no documents of any source.*nothing.*`bloomery data add"
    ):
        Ingest().run(current_revision(), out)


def test_a_second_attempt_overwrites_what_the_first_one_left(project, out):
    (out / ".copy" / "half").mkdir(parents=True)
    (out / "speeches").mkdir()
    (out / "speeches" / "documents.jsonl").write_text("left by a crash")
    raw = Ingest().run(current_revision(), out)
    assert dataset.digest(out) == raw.revision
