"""Of a web page the main text, its title and address are kept, and nothing of its frame."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.cleaning.html import hostname, looks_like_html, read_page

PROSE = (
    "The bloomery was the earliest kind of furnace that could smelt iron from its oxides. "
    "Its product is a porous mass of iron and slag, which a smith then works under the hammer. "
)
PAGE = f"""<!DOCTYPE html>
<html><head><title>Bloomery &amp; forge</title>
<link rel="canonical" href="https://iron.example.org/bloomery">
<style>p {{ color: red }}</style></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Shop</a></li></ul></nav>
<article><h1>How a bloomery works</h1><p>{PROSE}</p><p>{PROSE.replace("iron", "steel")}</p>
</article><script>var tracked = true;</script>
<footer><a href="/imprint">Imprint</a></footer></body></html>"""


def test_the_main_text_is_kept_and_menus_scripts_and_footers_are_not():
    page = read_page(PAGE)
    assert PROSE.strip() in page.text
    for frame in ("Shop", "tracked", "Imprint", "color", "<p>"):
        assert frame not in page.text


def test_title_address_and_host_are_known():
    page = read_page(PAGE)
    assert page.title == "How a bloomery works"
    assert page.url == "https://iron.example.org/bloomery"
    assert page.hostname == "iron.example.org"


def test_the_address_where_it_was_found_wins():
    page = read_page(PAGE, url="https://mirror.example.net/1")
    assert (page.url, page.hostname) == ("https://mirror.example.net/1", "mirror.example.net")


@pytest.mark.parametrize(
    "markup",
    [
        "",
        "no markup at all",
        "<html><body><script>var x = 1;</script></body></html>",
        "<html><body>" + "<div>" * 5_000,
        "<html><body>" + "<a href='" * 5_000,
    ],
)
def test_a_page_without_text_has_none(markup):
    assert read_page(markup).text == ""


def test_a_declared_encoding_does_not_matter_for_text_that_is_decoded():
    markup = PAGE.replace("<!DOCTYPE html>", '<?xml version="1.0" encoding="iso-8859-2"?>')
    assert PROSE.strip() in read_page(markup.replace("smelt", "smëlt")).text.replace("ë", "e")


@settings(max_examples=30, deadline=None)
@given(text=st.text(alphabet="<>/&; \n\"'=!-ahtmlbodypdiv\x00é"))
def test_any_markup_can_be_read(text):
    read_page(f"<html><body><p>{text}").text.encode()


def test_web_pages_are_told_by_their_beginning_alone():
    assert looks_like_html(PAGE)
    assert looks_like_html('\ufeff <?xml version="1.0"?>\n<!-- made by hand -->\n<HTML lang="en">')
    assert looks_like_html("<body class='x'>text")
    for text in ("# Markdown\n\nwith <b>a tag</b>", "see <html> in a text", "<p>fragment", ""):
        assert not looks_like_html(text)


def test_a_broken_address_has_no_host():
    assert hostname("https://[::1") == ""
    assert hostname("notes.txt") == ""
    assert hostname("http://User@Example.ORG:80/x") == "example.org"
