"""The `bloomery data` commands as a user types them."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.core.settings import settings
from components.data.repository import dataset
from flows.command.app import app

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path, home, monkeypatch) -> Path:
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)
    (project / "data" / "mine").mkdir(parents=True)
    (project / "data" / "mine" / "notes").write_text("kept")
    pin = dataset.digest(project / "data")
    (project / "data.dvc").write_text(f"outs:\n- md5: {pin}\n  hash: md5\n  path: data\n")
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    settings.cache_clear()
    return project


def bloomery(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_data_is_added_shown_and_brought_back(project, tmp_path):
    rows = [{"q": f"Why {n}?", "a": "So.", "n": n} for n in range(3)]
    lines = "\n".join([*map(json.dumps, rows), "no JSON"])
    (tmp_path / "a.jsonl").write_text(lines)
    shown = bloomery(
        *("data", "add", "quiz", str(tmp_path / "a.jsonl"), "--evaluation", "--license", "MIT"),
        *("--text-column", "q,a", "--max-bad", "0.5"),
    )
    assert "       1 left out: not JSON" in shown
    assert "3 documents added to data/evaluation/quiz, 3 there now." in shown
    first = dataset.revision(project)
    (tmp_path / "b.txt").write_text("one\ntwo\n")
    words = ("data", "add", "more", str(tmp_path / "b.txt"), "--unit", "line", "--json")
    second = json.loads(bloomery(*words))
    assert (second["documents"], second["revision_before"]) == (2, first)

    bloomery("data", "restore", first, "--to", str(tmp_path / "old"))
    assert dataset.digest(tmp_path / "old") == first
    bloomery("data", "restore", first, "--checkout")
    assert dataset.revision(project) == first
    assert not (project / "data" / "more").exists()


@pytest.mark.parametrize("where", [(), ("--checkout", "--to", "folder")])
def test_restoring_asks_where_to(where):
    with pytest.raises(ValueError, match=r"--to FOLDER, or --checkout"):
        CliRunner().invoke(app, ["data", "restore", "x", *where], catch_exceptions=False)


def test_several_files_and_patterns_are_one_source_named_by_what_they_have_in_common(
    project, tmp_path
):
    for name in ("in/a.txt", "in/b.txt", "in/deep/a.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"This is {name}.")
    pattern = str(tmp_path / "in" / "*.txt")
    words = ("data", "add", "some", pattern, str(tmp_path / "in" / "deep"), str(tmp_path / "c.txt"))
    shown = bloomery(*words)
    assert "4 documents added to data/some" in shown
    shown = json.loads(bloomery("data", "show", "some", "--number", "9", "--json"))
    assert shown["rows"] == {
        f"some/{name}": f"This is {name}."
        for name in ("in/a.txt", "in/b.txt", "in/deep/a.txt", "c.txt")
    }
    assert shown["origin"]["location"] == f"{pattern} and 2 more"
    with pytest.raises(ValueError, match=r"\*\.csv matches nothing"):
        bloomery("data", "add", "none", str(tmp_path / "*.csv"))
    with pytest.raises(ValueError, match=r"https://a\.org/b\.txt is none: add it by itself"):
        bloomery("data", "add", "none", str(tmp_path / "c.txt"), "https://a.org/b.txt")


def test_a_dry_run_shows_what_would_be_read_and_adds_nothing(project, tmp_path):
    (tmp_path / "in").mkdir()
    rows = [json.dumps({"text": f"Number {n}."}) for n in range(5)]
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(["bad", *rows]).encode()))
    (tmp_path / "in" / "b.xlsx").write_bytes(b"PK")
    before = dataset.revision(project)
    words = ("data", "add", "some", str(tmp_path / "in"), "--dry-run")
    shown = bloomery(*words)
    assert "in/a.jsonl.gz: gzip of JSON, an object a line" in shown
    assert "in/b.xlsx: passed over: another kind of file" in shown
    assert "       1 left out so far: not JSON" in shown
    assert "some/a.jsonl.gz#4\n    Number 2." in shown
    assert "Number 3." not in shown
    assert len(json.loads(bloomery(*words, "--json"))["documents"]) == 3
    assert dataset.revision(project) == before
    assert not (project / "data" / "some").exists()


def test_datasets_are_listed_shown_and_removed(project, tmp_path):
    (tmp_path / "a.txt").write_text("A letter, and what is in it.")
    for more in ((), ("--evaluation",)):
        bloomery("data", "add", "letters", str(tmp_path / "a.txt"), "--license", "MIT", *more)
    held = {each["name"]: each for each in json.loads(bloomery("data", "list", "--json"))}
    assert {name: each["kind"] for name, each in held.items()} == {
        "evaluation/letters": "evaluation",
        "letters": "documents",
    }
    assert held["letters"]["rows"] == 1
    assert "evaluation/letters" in bloomery("data", "list")
    shown = bloomery("data", "show", "letters")
    assert "letters: 1 rows of documents" in shown
    assert "a.txt, licence MIT" in shown
    assert "letters/a.txt\n    A letter, and what is in it." in shown

    before = dataset.revision(project)
    shown = bloomery("data", "remove", "letters")
    assert f"bloomery data restore {before} --checkout" in shown
    assert not (project / "data" / "letters").exists()
    assert dataset.status(project) == "clean"
    assert (project / "data" / "evaluation" / "letters").exists()
    bloomery("data", "restore", before, "--checkout")
    assert (project / "data" / "letters" / "documents.jsonl").exists()
    bloomery("data", "remove", "evaluation/letters")
    for name, said in (
        ("nobody", "There is no data/nobody"),
        ("speeches", "cannot name a dataset"),
    ):
        with pytest.raises(ValueError, match=said):
            bloomery("data", "remove", name)
    with pytest.raises(ValueError, match="data/ has no 'nobody'; it has: letters"):
        bloomery("data", "show", "nobody")
