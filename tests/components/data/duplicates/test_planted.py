"""Planted duplicates: disguised as they say, and counted against what stands beside them."""

import random
from collections import Counter

import pytest

from components.core.artifacts.data import Planted
from components.data.duplicates.minhash import Matching
from components.data.duplicates.near_misses import FORM
from components.data.duplicates.planted import (
    change_words,
    measure,
    plant,
    require_found,
    require_kept,
    score,
)
from components.data.repository import library, speeches

MATCHING = Matching(seed=3)
TEXTS = [document.text[:12_000] for document in [*speeches.documents()][:20]]


def test_as_many_words_are_changed_as_is_said():
    words = TEXTS[0].split()[:300]
    for share in (0.01, 0.05, 0.2):
        changed = change_words(" ".join(words), share, random.Random(0)).split()
        assert sum(a != b for a, b in zip(words, changed, strict=True)) == 300 * share


def test_every_form_is_planted_alike_and_a_copy_of_what_it_names():
    items = plant(TEXTS, 8, MATCHING)
    assert items == plant(TEXTS, 8, MATCHING)
    assert items != plant(TEXTS, 8, Matching(seed=4))
    forms = Counter(item.form for item in items if not item.form.startswith(FORM))
    assert set(forms.values()) == {8, 32}
    texts = {item.document.id: " ".join(item.document.text.lower().split()) for item in items}
    assert len(texts) == len(items)
    for item in items:
        text = texts[item.document.id]
        if item.form in ("re-wrapped", "re-cased"):
            assert text == texts[item.of]
        elif item.form.startswith("inside"):
            assert text in texts[item.of]
            assert len(text) < len(texts[item.of])


def test_too_few_passages_give_nothing_to_measure(tmp_path):
    assert plant(TEXTS[:1], 8, MATCHING) == []
    assert measure(TEXTS[:1], 8, Matching(), tmp_path) == []


def test_what_is_left_out_for_the_wrong_document_is_a_false_alarm():
    items = plant(TEXTS, 8, MATCHING)
    place = {item.document.id: n for n, item in enumerate(items)}
    verdicts = {
        place["re-cased/0"]: ("duplicate", "original/0"),
        place["re-cased/1"]: ("duplicate", "original/5"),
        place["quoting/2"]: ("near duplicate", "original/2"),
    }
    rows = {row.form: row for row in score(items, verdicts)}
    assert (rows["re-cased"].found, rows["re-cased"].false_alarms) == (1, 2)
    assert (rows["re-wrapped"].found, rows["re-wrapped"].false_alarms) == (0, 1)
    assert rows["re-cased"].planted == 8


def test_a_setting_that_finds_less_shows_in_what_is_measured(tmp_path):
    texts = [document.text for document in library.documents()][:40]
    strict = measure(texts, 10, Matching(threshold=0.95), tmp_path / "strict")
    default = measure(texts, 10, Matching(), tmp_path / "default")
    found = [
        {row.form: row.found for row in rows}["5% of words changed"] for rows in (strict, default)
    ]
    assert found[0] < found[1]


def _due(matching: Matching, texts: list[str] = TEXTS) -> Counter[str]:
    items = plant(texts, 8, matching)
    return Counter(item.form for item in items if item.is_due)


def test_a_copy_must_be_found_if_the_settings_take_it_for_one_with_a_margin():
    due = _due(MATCHING)
    for form in ("re-wrapped", "re-cased", "1% of words changed", "5% of words changed"):
        assert due[form] == 8
    assert due["inside a later, longer text"] == due["inside an earlier, longer text"] == 8
    assert due["20% of words changed"] == 0
    assert _due(Matching(threshold=0.1))["20% of words changed"] == 8
    assert _due(Matching(threshold=0.95))["5% of words changed"] == 0
    assert _due(Matching(threshold=0.95))["re-wrapped"] == 8


def test_of_texts_of_few_words_only_the_same_words_must_be_found():
    words = " ".join(TEXTS).split()
    short = [" ".join(words[start : start + 6]) for start in range(0, 1200, 6)]
    due = _due(MATCHING, short)
    assert due["re-wrapped"] == 8
    assert due["5% of words changed"] == due["inside an earlier, longer text"] == 0


def test_passages_that_are_alike_themselves_are_not_planted_as_distinct_ones():
    template = " ".join(TEXTS[0].split()[:100])
    alike = [f"{template} number {n}" for n in range(50)]
    assert plant(alike, 8, MATCHING) == []
    assert plant([*alike, *TEXTS], 8, MATCHING) != []


ROW = Planted(form="5%", planted=200, found=190, due=100, due_found=100, false_alarms=0)


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        ROW.model_copy(update={"due": 0, "due_found": 0, "found": 0, "false_alarms": 9}),
        ROW.model_copy(update={"due": 3, "due_found": 2}),
        ROW.model_copy(update={"found": 1, "due": 1, "due_found": 1, "false_alarms": 1}),
    ],
    ids=["all found", "nothing is due", "one miss of few", "one false alarm of few"],
)
def test_what_holds_or_says_little_passes(row):
    require_found([row], 0.95, 0.95)


def test_too_few_found_or_too_much_taken_is_an_error_with_the_numbers_and_the_remedy():
    missed = ROW.model_copy(update={"due_found": 90})
    with pytest.raises(ValueError, match=r"5% 0\.900 \(90 of 100\).*0\.95.*raise num_bands"):
        require_found([ROW, missed], 0.95, 0.95)
    wrong = ROW.model_copy(update={"false_alarms": 60})
    with pytest.raises(ValueError, match=r"5% 0\.760 \(60 false alarms\).*raise threshold"):
        require_found([wrong], 0.95, 0.95)
    require_found([missed, wrong], 0.9, 0.7)


def test_near_misses_of_every_kind_are_planted_and_kept(tmp_path):
    rows = {row.form: row for row in measure(TEXTS, 20, MATCHING, tmp_path)}
    kept = [row for form, row in rows.items() if form.startswith(FORM)]
    assert len(kept) == 15
    for row in kept:
        assert (row.found, row.false_alarms) == (row.planted, 0), row
    for word in ("operator", "number", "name", "content", "code", "maths", "chat", "table"):
        assert any(word in row.form for row in kept)


def test_a_near_miss_that_is_left_out_is_a_false_alarm_of_every_form():
    items = plant(TEXTS, 8, MATCHING)
    place = next(n for n, item in enumerate(items) if item.form == f"{FORM}chat, other name")
    rows = {row.form: row for row in score(items, {place: ("near duplicate", "near miss/9")})}
    assert rows[f"{FORM}chat, other name"].recall == 7 / 8
    assert rows["re-cased"].false_alarms == 1


def test_near_misses_that_are_left_out_stop_the_flow_with_the_numbers():
    row = Planted(form=f"{FORM}code", planted=200, found=198, due=200, due_found=198)
    require_kept([row], 0.99)
    with pytest.raises(ValueError, match=r"code 190 of 200.*0\.99.*raise threshold"):
        require_kept([row.model_copy(update={"found": 190})], 0.99)
    require_found([row.model_copy(update={"found": 0, "due_found": 0})], 0.95, 0.95)
