"""All kinds together: what they share, and what no text can break."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.data.personal.detect import PLACEHOLDERS, find, mask
from components.data.repository import speeches

KINDS = ("email", "iban", "card", "ip", "national_id", "phone")
REGIONS = ("CA", "DE", "ES", "FR", "GB", "IT", "US")
FRAGMENTS = (
    "ann@example.org",
    "tel. 415-555-2671",
    "+44 20 7946 0018",
    "4111 1111 1111 1111",
    "DE89370400440532013000",
    "192.0.2.44",
    "123-45-6789",
    "2001:db8::1",
    "<EMAIL>",
    *"@.-+() \n0123456789<>{}:/",
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=24).map("".join)
PLACEHOLDER = re.compile("|".join(PLACEHOLDERS.values()))


@settings(deadline=None, max_examples=200)
@given(text=TEXTS)
@example("1ann@example.org2@example.org")
@example("foo@bar@example.com@example.com")
@example("+44 20 7946 0018 20 7946 0018 415-555-2671-415-555-2671")
@example("4111 1111 1111 1111 4111 1111 1111 1111 4111")
def test_masking_twice_is_masking_once_and_the_text_around_stays(text):
    masked = mask(text, KINDS, REGIONS)
    assert mask(masked.text, KINDS, REGIONS) == (masked.text, {})
    kept = PLACEHOLDER.split(masked.text)  # the parts between must be those of the text, in order
    assert re.fullmatch("(?s:.*?)".join(map(re.escape, kept)), text)
    new = len(kept) - 1 - len(PLACEHOLDER.findall(text))
    assert new == masked.counts.total()


@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
def test_what_is_found_lies_in_the_text_and_overlaps_nothing(text):
    found = find(text, KINDS, REGIONS)
    ends = [0, *(span.end for span, _ in found)]
    assert all(end <= span.start < span.end for end, (span, _) in zip(ends, found, strict=False))
    assert ends[-1] <= len(text)


def test_a_number_that_two_kinds_claim_is_of_the_one_with_least_doubt():
    text = "call GB82 WEST 1234 5698 7654 32, phone 4111111111111111, tel 415.555.2671@example.org"
    assert mask(text, KINDS, REGIONS).text == "call <IBAN>, phone <CARD>, tel <EMAIL>"


def test_no_placeholder_is_found_again_by_any_kind():
    text = " ".join(PLACEHOLDERS.values()) * 3
    assert mask(text, KINDS, REGIONS).text == text


def test_two_centuries_of_speeches_hold_no_personal_data():
    texts = [document.text for document in speeches.documents()][::8]
    assert sum(map(len, texts)) > 1_000_000
    assert [text[slice(*span)] for text in texts for span, _ in find(text, KINDS, REGIONS)] == []


@pytest.mark.parametrize("separator", [" ", "\n", ", ", ";", "\t", "|"])
def test_neighbours_are_each_found_whatever_separates_them(separator):
    secrets = ("ann@example.org", "+44 20 7946 0018", "4111111111111111", "123-45-6789")
    text = separator.join(secrets)
    masked = separator.join(("<EMAIL>", "<PHONE>", "<CARD>", "<NATIONAL_ID>"))
    assert mask(text, KINDS, REGIONS).text == masked
