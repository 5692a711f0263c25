"""The instructions: what is learned from, without what is held out, whatever the documents are."""

import pytest

from components.core.artifacts.data import DataFile, DataFiles
from components.data.repository.pinned import pinned_files
from components.data.take_instructions import TakeInstructions, instructions_in


def listed(*names: str) -> DataFiles:
    return DataFiles(files=tuple(DataFile(name=n, md5=n) for n in names), revision="1.dir")


ALL = ("instructions/test.jsonl", "instructions/train.jsonl", "instructions/validation.jsonl")


def test_the_held_out_tasks_are_not_among_the_instructions():
    assert [file.name for file in instructions_in(listed(*ALL)).files] == list(ALL[1:])


def test_a_new_source_or_evaluation_set_leaves_the_instructions_as_they_are():
    more = listed(*ALL, "evaluation/quiz/documents.jsonl", "web/documents.jsonl")
    before, after = instructions_in(listed(*ALL)), instructions_in(more)
    assert TakeInstructions().fingerprint(before) == TakeInstructions().fingerprint(after)


def test_the_instructions_of_a_project_are_taken_whole(project, tmp_path):
    instructions = TakeInstructions().run(instructions_in(pinned_files()), tmp_path / "out")
    for name in ("train.jsonl", "validation.jsonl"):
        kept = (project / "data" / "instructions" / name).read_bytes()
        assert (instructions.path / name).read_bytes() == kept
    assert sorted(file.name for file in instructions.path.iterdir()) == [
        "train.jsonl",
        "validation.jsonl",
    ]


SETS = (
    *ALL,
    *(f"instructions/{name}/{file}" for name in "ab" for file in ("about.json", "dialogues.jsonl")),
    "preferences/a/comparisons.jsonl",
)


def test_named_sets_are_taken_in_place_of_the_micro_tasks_and_nothing_else():
    assert [file.name for file in instructions_in(listed(*SETS)).files] == list(ALL[1:])
    found = instructions_in(listed(*SETS), ("b",))
    assert [file.name for file in found.files] == list(SETS[5:7])
    more = listed(*SETS, "instructions/c/dialogues.jsonl")
    step = TakeInstructions()
    assert step.fingerprint(found) == step.fingerprint(instructions_in(more, ("b",)))
    assert step.fingerprint(found) != step.fingerprint(instructions_in(more, ("a",)))


def test_a_set_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"no instructions called x, y; it has: a, b\. Add them"):
        instructions_in(listed(*SETS), ("y", "a", "x"))
