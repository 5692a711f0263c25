"""Planted duplicates among rows: copies are found, near misses kept, and too little is refused."""

import random

import pytest

from components.core.artifacts.data import Planted
from components.data.duplicates.minhash import Matching
from components.data.preparation.planted import measure, plant, require
from components.data.preparation.texts import said_in
from components.lib.text.dialogue import Comparison, Dialogue, Message, ToolCall
from tests.components.data.preparation.sets import messages

COPIES = ("other case", "other white space", "other punctuation", "a turn said twice")
WORDS = (
    *("river", "stone", "light", "paper", "garden", "window", "silver", "market", "engine"),
    *("forest", "letter", "number", "summer", "winter", "doctor", "teacher", "bridge", "island"),
    *("captain", "village", "morning", "evening", "basket", "candle", "mirror", "ribbon"),
)


def sentence(rng, number):
    words = rng.choices(WORDS, k=12)
    return f"{' '.join(words[:6])}, {number} {' '.join(words[6:])} of Norway."


def dialogues(number, seed=0):
    rng = random.Random(seed)
    turns = ([sentence(rng, n) for _ in range(4)] for n in range(number))
    return [
        Dialogue(id=f"mine/{n}", messages=tuple(map(Message.model_validate, messages(*said))))
        for n, said in enumerate(turns)
    ]


def comparisons(number):
    return [
        Comparison(
            id=each.id,
            prompt=each.messages[:1],
            chosen=each.messages[1].content,
            rejected=each.messages[3].content,
        )
        for each in dialogues(number)
    ]


@pytest.mark.parametrize("rows", [dialogues(60), comparisons(60)], ids=["dialogues", "comparisons"])
def test_every_copy_is_found_and_every_near_miss_is_kept(rows, tmp_path):
    found = {row.form: row for row in measure(rows, 10, Matching(), tmp_path / "scratch")}
    assert set(COPIES) < set(found)
    assert [found[form].planted for form in COPIES] == [10] * 4
    assert [found[form].due for form in COPIES] == [10] * 4
    assert {row.recall for row in found.values()} == {1.0}
    assert {row.precision for row in found.values()} == {1.0}
    kinds = {form.removeprefix("kept: ") for form in found if form not in COPIES}
    assert {
        "chat, other content",
        "maths, other number",
        "code, other operator",
        "chat, other name",
        "a passage, other number",
        "a passage, other name",
    } < kinds
    require(list(found.values()), 1.0, 1.0, 1.0)
    assert not (tmp_path / "scratch").exists()


def test_without_near_duplicates_only_exact_copies_are_due(tmp_path):
    found = {row.form: row for row in measure(dialogues(40), 10, None, tmp_path)}
    assert [(found[form].due, found[form].due_found) for form in COPIES[:2]] == [(10, 10)] * 2
    assert [(found[form].due, found[form].found) for form in COPIES[2:]] == [(0, 0)] * 2
    require(list(found.values()), 1.0, 1.0, 1.0)


def test_each_bound_is_held_and_one_mistake_is_let_pass():
    copy = {"form": COPIES[0], "planted": 10, "found": 10, "due": 10, "due_found": 10}
    near = {"form": "kept: Hindi", "planted": 10, "due": 10}
    require([Planted(**copy | {"found": 9, "due_found": 9}, false_alarms=1)], 0.95, 0.95, 0.95)
    require([Planted(**near, found=9)], 0.95, 0.95, 0.99)
    with pytest.raises(ValueError, match=r"other case: 8 of 10 found, min_recall is 0\.95"):
        require([Planted(**copy | {"found": 8, "due_found": 8})], 0.95, 0.95, 0.95)
    with pytest.raises(ValueError, match=r"other case: 2 others taken, min_precision is 0\.95"):
        require([Planted(**copy, false_alarms=2)], 0.95, 0.95, 0.95)
    with pytest.raises(ValueError, match=r"Hindi: 8 of 10 were kept, where min_kept is 0\.99"):
        require([Planted(**near, found=8)], 0.95, 0.95, 0.99)


def test_copies_say_the_same_with_calls_of_tools_as_they_were(tmp_path):
    call = ToolCall(name="look", arguments='{"town": "Oslo  East"}')
    rows = [
        each.model_copy(
            update={
                "messages": (
                    each.messages[0],
                    each.messages[1].model_copy(update={"tool_calls": (call,)}),
                )
            }
        )
        for each in dialogues(8)
    ]
    items = plant(rows, 2, Matching())
    copies = [item.row for item in items if item.form in COPIES]
    assert len(copies) == 8
    assert {each.messages[1].tool_calls for each in copies} == {(call,)}
    assert len({said_in(item.row) for item in items}) == len(items)


def test_of_fewer_than_four_rows_nothing_is_planted(tmp_path):
    assert measure(dialogues(3), 10, Matching(), tmp_path) == ()
    assert measure(dialogues(8), 0, Matching(), tmp_path) == ()
