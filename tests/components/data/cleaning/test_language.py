"""Languages are told offline, and doubt is told too."""
# ruff: noqa: RUF001 - the text has such characters

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from components.data.cleaning.language import check_codes, identify
from components.data.repository import library, speeches

SENTENCES = {  # article 1 of the Universal Declaration of Human Rights, United Nations
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
}
TRIAL = Path(os.environ.get("BLOOMERY_TRIAL_DATA", "/nowhere")) / "transfer" / "xquad"


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_enough(code):
    found, probability = identify(SENTENCES[code])
    assert found == code
    assert 0.5 < probability <= 1


def test_speeches_and_documentation_are_english_beyond_doubt():
    documents = [*islice(speeches.documents(), 15), *islice(library.documents(), 30)]
    told = [identify(document.text) for document in documents]
    assert {code for code, _ in told} == {"en"}
    assert min(probability for _, probability in told) > 0.65


def test_what_is_too_short_or_no_language_is_not_told():
    assert identify("Hello") == ("unknown", 0)
    assert identify("0123 4567 8901 2345 6789 " * 8)[1] < 0.65


def test_the_middle_and_the_end_of_a_long_text_count():
    german = SENTENCES["de"] * 50
    assert identify(SENTENCES["en"] + german)[0] == "de"


def test_a_code_that_no_language_has_is_refused_with_those_there_are():
    check_codes(("en", "zh"))
    with pytest.raises(ValueError, match=r"\['eng'\].*\ben\b"):
        check_codes(("de", "eng"))


@pytest.mark.skipif(not TRIAL.is_dir(), reason="BLOOMERY_TRIAL_DATA does not lead to XQuAD")
def test_paragraphs_of_four_languages_are_told():
    for code in ("en", "de", "es", "zh"):
        articles = json.loads((TRIAL / f"xquad.{code}.json").read_text("utf-8"))["data"]
        texts = [part["context"] for article in articles for part in article["paragraphs"]]
        assert sum(identify(text)[0] == code for text in texts) / len(texts) > 0.99
