"""Pages are read in the encoding that they or their server name, else in one that fits."""
# ruff: noqa: RUF001 - the text has such characters

import codecs

import pytest

from components.data.sources.charsets import page_text

GERMAN = "Die Größe der Brücke überrascht den müden Wanderer, der für heute genug gesehen hat."
RUSSIAN = "Старый капитан долго смотрел на море и молча думал о доме, который он давно оставил."
JAPANESE = "古い船長は海を長い間見つめて、ずっと前に離れた家のことを黙って考えていた。"


def page(text: str, head: str, encoding: str, before: str = "") -> bytes:
    return f"{before}<html><head>{head}</head><p>{text}</p></html>".encode(encoding)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (page(GERMAN, "", "utf-8"), ""),
        (page(GERMAN, "", "utf-8"), "iso-8859-1"),
        (page(GERMAN, "", "latin-1"), "iso-8859-1"),
        (page(GERMAN, "<meta charset=windows-1252>", "cp1252"), ""),
        (page(GERMAN, "<meta charset='no-such-thing'>", "cp1252"), "windows-1252"),
        (page(RUSSIAN, '<meta http-equiv=x content="text/html; charset=koi8-r">', "koi8-r"), ""),
        (page(RUSSIAN, '<META CHARSET="windows-1251" />', "cp1251"), "utf-8"),
        (page(JAPANESE, "<meta charset=Shift_JIS>", "cp932"), ""),
        (page(JAPANESE, "", "euc_jp", "<?xml version='1.0' encoding='EUC-JP'?>"), ""),
        (page(JAPANESE, "<meta charset=utf-8>", "utf-16"), ""),
        (codecs.BOM_UTF8 + page(JAPANESE, "<meta charset=latin-1>", "utf-8"), "latin-1"),
    ],
)
def test_what_is_named_is_used_and_the_surest_name_wins(content, told):
    text, guessed = page_text(content, told)
    assert any(known in text for known in (GERMAN, RUSSIAN, JAPANESE))
    assert guessed == ""
    assert not text.startswith("\ufeff")


def test_a_label_means_the_code_page_that_browsers_take_it_for():
    content = page("“quoted” – for 5 €", "<meta charset=iso-8859-1>", "cp1252")
    assert "“quoted” – for 5 €" in page_text(content)[0]


@pytest.mark.parametrize(
    ("text", "encoding"), [(RUSSIAN, "cp1251"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp")]
)
def test_a_page_that_names_nothing_is_guessed_and_says_so(text, encoding):
    found, guessed = page_text(page(text * 3, "", encoding))
    assert text in found
    assert guessed
