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


@pytest.mark.parametrize(
    "text",
    [
        "hello world hello world",
        "def f(x): return x+1",
        "x = [1, 2, 3]; y = {}",
        "for i in range(10): print(i)",
        "import os\nimport sys\nfor x in os.listdir('.'):\n    print(x)\n",
        "asdkjh qwoeiu zmxncb qwpoei",
        "\U000103a0\U000103bc\U000103b9 " * 8,
        "| 1 | 2 |\n|---|---|\n| 3 | 4 |",
    ],
)
def test_a_guess_at_the_floor_of_the_model_is_unknown(text):
    code, probability = identify(text)
    assert code == "unknown"
    assert probability < 0.5


def test_a_chat_of_short_turns_is_judged_whole():
    opening = "User: hello world\nAssistant: ok\n" * 8
    answers = "User: Was nun?\nAssistant: Ich weiß es nicht, aber wir können nachsehen.\n" * 12
    assert 300 < len(opening) + len(answers) < 2000
    assert identify(opening + answers + "User: ok thanks bye\n" * 6)[0] == "de"


def test_what_is_no_language_is_none_that_can_be_asked_for():
    with pytest.raises(ValueError, match=r"\['zxx'\]"):
        check_codes(("zxx",))


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
