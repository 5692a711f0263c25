"""Planted duplicates: disguised as they say, and counted against what stands beside them."""

import random
from collections import Counter

from components.data.duplicates.minhash import Matching
from components.data.duplicates.planted import change_words, measure, plant, score
from components.data.repository import library, speeches

TEXTS = [document.text[:12_000] for document in [*speeches.documents()][:20]]


def test_as_many_words_are_changed_as_is_said():
    words = TEXTS[0].split()[:300]
    for share in (0.01, 0.05, 0.2):
        changed = change_words(" ".join(words), share, random.Random(0)).split()
        assert sum(a != b for a, b in zip(words, changed, strict=True)) == 300 * share


def test_every_form_is_planted_alike_and_a_copy_of_what_it_names():
    items = plant(TEXTS, 8, seed=3)
    assert items == plant(TEXTS, 8, seed=3)
    assert items != plant(TEXTS, 8, seed=4)
    forms = Counter(item.form for item in items)
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
    assert plant(TEXTS[:1], 8, seed=3) == []
    assert measure(TEXTS[:1], 8, Matching(), tmp_path) == []


def test_what_is_left_out_for_the_wrong_document_is_a_false_alarm():
    items = plant(TEXTS, 8, seed=3)
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
