"""PreparePairs: comparisons that can be learnt from, and why the others cannot."""

import json

import pytest

from components.core.artifacts.data import Preferences
from components.data.prepare_pairs import PreparePairs, PreparePairsInputs
from components.lib.text.dialogue import Comparison
from tests.components.data.preparation.sets import (
    a_tokenizer,
    evaluation_of,
    messages,
    write_rows,
)

SECRET = "the quick brown fox jumps over the lazy dog and then it sleeps for ever after"


def pair(question, chosen, rejected):
    return {"prompt": messages(question), "chosen": chosen, "rejected": rejected}


def prepare(tmp_path, rows, max_length=500):
    write_rows(tmp_path / "in", "pairs", "comparisons.jsonl", rows)
    inputs = PreparePairsInputs(
        preferences=Preferences(path=tmp_path / "in", revision="1.dir"),
        evaluation=evaluation_of(tmp_path / "evaluation", SECRET),
        vocabulary=a_tokenizer(tmp_path / "vocabulary"),
        max_length=max_length,
    )
    (tmp_path / "out").mkdir(exist_ok=True)
    return PreparePairs().run(inputs, tmp_path / "out")


def test_pairs_are_sifted_masked_counted_and_described(tmp_path):
    rows = [
        pair("How do I write to Ann?", "To ann@example.com.", "I will not say."),
        pair("how do I write to Ann?", "To ann@example.com.", "I will not say."),
        pair("What is known?", f"That {SECRET}.", "Nothing."),
        pair("Say much.", "Yes.", "x" * 600),
        pair("abcd", "ef", "g"),
    ]
    made = prepare(tmp_path, rows)
    assert made.num_pairs == 2
    assert made.dropped == {"duplicate": 1, "longer than the context": 1, "overlaps quiz": 1}
    lines = (made.path / "comparisons.jsonl").read_text().splitlines()
    first, last = map(Comparison.model_validate_json, lines)
    assert first.chosen == "To <EMAIL>."
    assert (last.id, last.rejected) == ("pairs/4", "g")
    card = json.loads((made.path / "card.json").read_text())
    assert card["kind"] == "preferences"
    assert card["rows"] == {"comparisons": 2}
    assert card["sets"]["pairs"]["kept"] == 2


def test_no_pair_left_is_an_error_that_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"No comparison is left.*'longer than the context': 1"):
        prepare(tmp_path, [pair("Say much.", "Yes.", "No.")], max_length=3)
