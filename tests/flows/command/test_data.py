"""The `bloomery data` commands as a user types them."""

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
