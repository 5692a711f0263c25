"""Characters come out as they were meant, and what was meant stays as it is."""
# ruff: noqa: RUF001 - the text has such characters

import unicodedata
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.data.cleaning.encoding import normalise, repair, unreadable_share
from components.data.repository import speeches

MEANT = (
    "The café’s menu – “déjà vu” – costs 5 €",
    "Schöne Grüße aus Köln, naïve Leser",
    "Кто там? Это я, почтальон",
    "数据是模型的基础。",
)


@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
@pytest.mark.parametrize("text", MEANT)
def test_utf8_that_was_read_as_a_western_code_page_is_read_again(text, wrong):
    garbled = text.encode().decode("latin-1")
    if wrong == "cp1252":
        garbled = "".join(
            bytes([ord(c)]).decode("cp1252") if ord(c) not in _HOLES else c for c in garbled
        )
    assert garbled != text
    assert normalise(repair(f"A first line.\n{garbled}")) == normalise(f"A first line.\n{text}")


_HOLES = (0x81, 0x8D, 0x8F, 0x90, 0x9D)  # bytes that code page 1252 does not define


@pytest.mark.parametrize(
    "text", [*MEANT, "write &lt; for a less-than sign", "ＡＢＣ，全角", "it’s “curly”", "ÀÉÎÕÜ"]
)
def test_text_that_was_meant_so_stays_so(text):
    assert repair(text) == text


def test_real_speeches_are_left_alone_and_ligatures_and_colours_are_not():
    assert all(repair(speech.text) == speech.text for speech in islice(speeches.documents(), 25))
    assert repair("an of\ufb01ce") == "an office"
    assert repair("\x1b[31mred\x1b[0m alert") == "red alert"


def test_a_line_that_is_garbled_does_not_change_its_neighbours():
    good, bad = "Fußgänger und “Zitate”", "FuÃŸgÃ¤nger"
    assert repair(f"{good}\n{bad}\n{good}") == f"{good}\nFußgänger\n{good}"


def test_a_program_is_unreadable_and_prose_is_not():
    program = bytes(range(256)) * 20
    assert unreadable_share(program.decode("latin-1")) > 0.2
    assert unreadable_share(program.decode("utf-8", "replace")) > 0.4
    assert unreadable_share("Plain prose.\r\n\tA page ends here.\f") == 0
    assert unreadable_share("") == 0


def test_text_is_in_composed_form_with_plain_line_ends():
    assert normalise("Cafe\u0301\r\nand\rtea\x07\x00 \t") == "Café\nand\ntea"
    assert (
        normalise("a\u2028b\u2029c\x0bd\x0ce\x1cf\x1dg\x1eh\x85i\x1fj")
        == "a\nb\nc\nd\ne\nf\ng\nh\ni j"
    )
    assert normalise("tab\tand\nlines stay") == "tab\tand\nlines stay"


@given(text=st.text())
@example("e\x00\u0301")  # a control character that kept two others apart
@example("\r\r\n\n\r")
def test_normal_text_stays_as_it_is(text):
    normal = normalise(text)
    assert normalise(normal) == normal
    assert unicodedata.is_normalized("NFC", normal)
    assert "\r" not in normal
    assert normal == normal.strip()


def test_the_characters_removed_are_those_that_unicode_calls_control():
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    removed = {c for c in characters if normalise(f"a{c}b") == "ab"}
    control = {c for c in characters if unicodedata.category(c) == "Cc"}
    assert removed == {c for c in control if not c.isspace()}


def test_control_characters_that_separate_words_still_do():
    separators = {c for c in map(chr, range(0xA0)) if c.isspace() and c != "\xa0"}
    assert all(len(normalise(f"a{c}b").split()) == 2 for c in separators)
    assert normalise("Harbour\x0bReport\x0cPage two\x85The end\x1erow\x1ffield") == (
        "Harbour\nReport\nPage two\nThe end\nrow field"
    )


def test_the_next_line_is_a_line_end_unless_a_western_code_page_was_misread():
    for ended in ("one line\x85for all", "für alle\x85und mehr", "déjà vu, café\x85et autres"):
        assert normalise(repair(ended)) == ended.replace("\x85", "\n")
    assert repair("wait\x85 \x93what\x94") == "wait… “what”"
    assert repair("Ã\x85ngstrÃ¶m") == "Ångström"


def test_slides_full_of_soft_returns_are_no_program():
    assert unreadable_share("a\x0bb\x0cc\x85") == 0


@given(text=st.text())
def test_repair_takes_any_text_and_repaired_text_can_be_written(text):
    repair(text).encode("utf-8")
