"""A component that does something else bears another version: else old artifacts pass for new."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.record_versions import (
    REMEDY,
    ROOT,
    Recorded,
    current,
    recorded,
    source_hash,
    unraised,
)


def test_no_component_changed_without_a_new_version():
    forgotten = unraised(recorded(), current())
    assert not forgotten, f"Changed without a new version: {', '.join(forgotten)}. {REMEDY}"


def test_every_component_is_recorded_as_it_is():
    new, old = current(), recorded()
    stale = sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))
    assert not stale, f"{', '.join(stale)}: run `python -m tests.record_versions`."


def test_a_changed_source_needs_a_new_version_and_a_new_component_does_not():
    old = {"a": Recorded(version="1.0.0", sha256="x"), "b": Recorded(version="1.0.0", sha256="y")}
    assert unraised(old, {**old, "c": Recorded(version="1.0.0", sha256="z")}) == []
    assert unraised(old, {**old, "a": Recorded(version="1.0.0", sha256="new")}) == ["a"]
    assert unraised(old, {**old, "a": Recorded(version="1.0.1", sha256="new")}) == []


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(
        ROOT / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def _edit(root, file, old, new):
    path = root / file
    text = path.read_text("utf-8")
    assert old in text, f"{old!r} is no longer in {file}: choose another line to change"
    path.write_text(text.replace(old, new), encoding="utf-8")


SFT = "components.finetune.sft"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("components/finetune/sft.py", "model.path)", "model.path )  # a comment"),
        ("components/finetune/sft.py", "The model to start from.", "Another docstring."),
        ("components/core/tracking/spool.py", "SPOOL =", "import os\nSPOOL ="),
        ("components/evals/ngrams.py", "+ 1) /", "+ 2) /"),
    ],
    ids=["comment", "docstring", "core", "module that is not imported"],
)
def test_what_cannot_change_the_result_does_not_change_the_hash(copy, file, old, new):
    before = source_hash(SFT, ROOT)
    _edit(copy, file, old, new)
    assert source_hash(SFT, copy) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("components/finetune/sft.py", "default=128", "default=127"),
        ("components/lib/examples/batches.py", "-100", "-101"),
        ("components/lib/training/optim.py", "0.95", "0.96"),
        ("components/lib/training/hyperparameters.py", "default=0.1", "default=0.2"),
    ],
    ids=["own", "imported inside a function", "imported by what is imported", "at the top"],
)
def test_a_change_in_whatever_a_component_runs_changes_the_hash(copy, file, old, new):
    before = source_hash(SFT, ROOT)
    _edit(copy, file, old, new)
    assert source_hash(SFT, copy) != before


def test_the_recorder_refuses_a_change_under_an_old_version_until_told_it_is_harmless(copy):
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))

    def record(*options):
        command = [sys.executable, str(copy / "tests" / "record_versions.py"), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert record("--same-output").returncode == 0
    record_file = copy / "tests" / "versions.json"
    before = record_file.read_text()

    _edit(copy, "components/evals/ngrams.py", "+ 1) /", "+ 2) /")
    refused = record()
    assert refused.returncode == 1
    assert re.search(r"new version: evals\.baselines\. Raise its `version`", refused.stderr)
    assert record_file.read_text() == before

    _edit(copy, "components/evals/baselines.py", 'ClassVar[str] = "', 'ClassVar[str] = "91.')
    assert record().returncode == 0
    assert '"91' in record_file.read_text()

    _edit(copy, "components/evals/ngrams.py", "+ 2) /", "+ 3) /")
    assert record("--same-output").returncode == 0
