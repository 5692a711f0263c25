"""The rules are datatrove's: the same verdicts, and each catches what it is for."""

from itertools import islice

import pytest
from pydantic import ValidationError

from components.data.cleaning.quality import Quality, Thresholds
from components.data.repository import library, speeches

ALL = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
SPEECH = next(iter(speeches.documents())).text
LIST = "\n".join(f"- item number {number} of the list" for number in range(60))


@pytest.mark.parametrize(
    ("rules", "text", "reason"),
    [
        ("gopher_quality", "Too short to be worth it.", "gopher_short_doc"),
        ("gopher_quality", "supercalifragilistic " * 60, "gopher_above_avg_threshold"),
        ("gopher_quality", f"{LIST}\n- of that", "gopher_too_many_bullets"),
        ("gopher_repetition", "The same line again.\n" * 20, "dup_line_frac"),
        ("gopher_repetition", "go to the shop " * 50, "top_2_gram"),
        ("c4", "One sentence. Another one here.", "too_few_sentences"),
        ("c4", f"{SPEECH}\nint main() {{ return 0; }}.", "curly_bracket"),
        ("fineweb", LIST, "line_punct_ratio"),
    ],
)
def test_each_of_the_rules_drops_what_it_is_for(rules, text, reason):
    found = Quality((rules,), Thresholds()).judge(text)[1]
    assert found == f"{rules}: {reason}"


def test_verdicts_are_those_of_datatrove_on_its_own():
    from datatrove.data import Document
    from datatrove.pipeline import filters

    theirs = {
        "gopher_repetition": filters.GopherRepetitionFilter(),
        "gopher_quality": filters.GopherQualityFilter(),
        "c4": filters.C4QualityFilter(),
        "fineweb": filters.FineWebQualityFilter(),
    }
    texts = [d.text[:8_000] for d in islice(library.documents(), 12)] + [SPEECH, LIST]
    verdicts = set[str | None]()
    for name, rules in theirs.items():
        ours = Quality((name,), Thresholds())
        for text in texts:
            document = Document(text=text, id="")
            verdict = rules.filter(document)
            reason = None if verdict is True else f"{name}: {verdict[1]}"
            expected = document.text if verdict is True else text
            assert ours.judge(text) == (expected, reason)
            verdicts.add(reason)
    assert len(verdicts) > 4, "too few different verdicts to compare"


def test_a_speech_passes_all_of_them_in_the_order_given():
    thresholds = Thresholds(c4_terminal_punctuation=False)
    assert Quality(ALL, thresholds).judge(SPEECH)[1] is None
    short = "It is short."
    assert Quality(ALL, thresholds).judge(short)[1] == "gopher_repetition: top_2_gram"
    backwards = Quality(ALL[::-1], thresholds).judge(short)[1]
    assert backwards == "fineweb: short_line_ratio"


def test_thresholds_reach_the_rules():
    text = "The man and the dog have been to the sea. " * 2
    assert Quality(("gopher_quality",), Thresholds()).judge(text)[1] is not None
    assert Quality(("gopher_quality",), Thresholds(min_words=10)).judge(text)[1] is None
    lenient = Thresholds(min_words=10, stop_words=("zzz",), min_stop_words=1)
    reason = Quality(("gopher_quality",), lenient).judge(text)[1]
    assert reason == "gopher_quality: gopher_enough_stop_words"


def test_lines_that_are_removed_are_gone_and_counted():
    menu = "Home | Shop\n"
    quality = Quality(("c4",), Thresholds())
    text, reason = quality.judge(menu + SPEECH + "\nWe use cookies on this page, so there.")
    assert reason is None
    assert "Home" not in text
    assert "cookies" not in text
    removed = quality.removed_lines()
    assert removed["c4: lines policy"] == 1
    assert removed["c4: lines no_terminal_punc"] >= 1


def test_rules_for_german_count_german_words():
    text = "Der Mann und die Frau gehen mit dem Hund an das Meer. " * 10
    german = Thresholds(words="de", stop_words=("der", "und", "die", "mit"))
    assert Quality(("gopher_quality",), german).judge(text)[1] is None
    english = Quality(("gopher_quality",), Thresholds()).judge(text)[1]
    assert english == "gopher_quality: gopher_enough_stop_words"


def test_a_threshold_that_is_no_share_is_refused():
    with pytest.raises(ValidationError, match="duplicate_lines"):
        Thresholds(duplicate_lines=30)
