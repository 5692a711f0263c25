"""A preview tells what an ingest would do to the rows of a source."""

import json
from pathlib import Path

import pytest

from components.data.dialogues.rows import AFTER, REASONING
from components.data.seen import REPEATED
from components.data.sources.intake import Intake
from components.data.sources.preview import Preview, preview
from components.data.sources.source import Reading, Source


def row(number: int, answer: str, name: int | None = None, **thought: str) -> dict[str, object]:
    asked = {"role": "user", "content": f"What is {number}?"}
    messages = [asked, {"role": "assistant", "content": answer, **thought}]
    if number % 5 == 0:
        messages.append({"role": "user", "content": "And then?"})
    return {"messages": messages} | ({} if name is None else {"id": name})


ROWS = [
    *(row(number, "So.", number, reasoning="Hm." if number % 3 else "") for number in range(20)),
    *(row(number, "So.", number) for number in range(4)),
    *(row(number, "Otherwise.", number) for number in range(7)),
    {"body": "no dialogue"},
]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)))
    return Source(location=str(file), kind="instructions", max_bad=1)


def planned(source: Source, tmp_path: Path) -> Preview:
    return preview("mine", source, tmp_path / "state")


def test_it_counts_as_the_ingest_after_it_does(source, tmp_path):
    found = planned(source, tmp_path)
    intake = Intake(Reading(source, "mine", tmp_path / "state"), tmp_path / "rejects.jsonl")
    documents = list(intake.documents())
    assert (found.renamed, found.rejected, found.formats) == (
        intake.num_renamed,
        dict(intake.rejected),
        dict(intake.formats),
    )
    assert list(found.documents) == documents[:3]


def test_repeated_ids_and_what_rows_bring_that_is_left_out_are_counted_by_row(source, tmp_path):
    found = planned(source, tmp_path)
    assert found.renamed == 7
    assert found.rejected == {REPEATED: 4, "no known format": 1}
    assert found.left_out == {REASONING: 13, AFTER: 4 + 2}
    assert planned(source, tmp_path) == found, "nothing was kept of the first"


def test_of_documents_no_two_are_held_against_each_other(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("the same\n" * 3)
    source = Source(location=str(file), unit="line")
    found = planned(source, tmp_path)
    assert [document.text for document in found.documents] == ["the same"] * 3
    assert (found.renamed, found.left_out, found.rejected) == (0, {}, {})
