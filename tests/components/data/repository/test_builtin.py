"""The built-in sources: whole, in splits that share nothing, and the hash that data.dvc pins."""

import json
from pathlib import Path

import pytest

from components.data.document import read_documents
from components.data.repository import builtin, dataset
from components.lib.tasks.microtasks import MicroTask, is_correct, split_of

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Return a folder that the built-in sources were built into."""
    folder = tmp_path_factory.mktemp("builtin") / "data"
    builtin.build(folder)
    return folder


def microtasks(file: Path) -> list[MicroTask]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [MicroTask.model_validate_json(line) for line in lines]


def test_what_is_built_is_what_the_committed_pin_says_byte_for_byte(data):
    assert dataset.digest(data) == dataset.revision(ROOT)


def test_the_folders_are_those_whose_names_are_reserved(data):
    assert sorted(folder.name for folder in data.iterdir()) == sorted(builtin.NAMES)


def test_documents_survive_the_file_they_are_written_to(data):
    speeches = list(read_documents(data / "speeches" / "documents.jsonl"))
    assert len(speeches) == 249
    assert speeches[0].text.startswith("Fellow-Citizens of the Senate")
    line = (data / "speeches" / "documents.jsonl").read_bytes().split(b"\n")[0]
    row = json.loads(line)
    assert list(row) == sorted(row)


def test_micro_tasks_lie_in_the_file_of_their_split_and_are_correct(data):
    files = {
        "train": data / "instructions" / "train.jsonl",
        "validation": data / "instructions" / "validation.jsonl",
        "test": data / "instructions" / "test.jsonl",
        "preference": data / "preferences" / "prompts.jsonl",
    }
    prompts: set[str] = set()
    total = 0
    for split, file in files.items():
        tasks = microtasks(file)
        assert len({(task.task, task.level) for task in tasks}) == 24
        assert all(split_of(task) == split for task in tasks)
        assert all(is_correct(task, task.completion) for task in tasks)
        prompts.update(task.prompt for task in tasks)
        total += len(tasks)
    assert len(prompts) == total == builtin.NUM_MICROTASKS
