"""Telephone numbers, and the dates, ranges and sums that look like them."""

import pytest

from components.data.personal.phone import phones

REGIONS = ("CA", "DE", "ES", "FR", "GB", "IT", "US")


def _taken(text: str) -> list[str]:
    return [text[slice(*span)] for span in phones(text, REGIONS)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+44 20 7946 0018", "+44 20 7946 0018"),
        ("\n+33612345678\n", "+33612345678"),
        ("(415) 555-2671, now", "(415) 555-2671"),
        ("(07911 123456)", "07911 123456"),
        ("see 212.555.0198.", "212.555.0198"),
        ("Tel. 030/1234567", "030/1234567"),
        ("0039 06 6982 1234", "0039 06 6982 1234"),
        ("06.12.34.56.78 ou", "06.12.34.56.78"),
        ("teléfono: 612 34 56 78", "612 34 56 78"),
        ("call me: 4155552671!", "4155552671"),
        ("Call me at 555-1234.", "555-1234"),
        ("https://wa.me/14155552671", "14155552671"),
        ("+49 (0) 30 901820", "+49 (0) 30 901820"),
    ],
)
def test_a_number_is_taken_without_what_touches_it(text, number):
    assert _taken(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "1998-2003, 10/02/2017, 2012-09-30 08:15 and 20.11.1945",
        "7 345 678 people, 612 345 678 francs and 1.234.567.890",
        "0.333333333, 86087.7578 and +35236450.6",
        "energy 0 - 103 and 8000 - 16348 keV",
        "lot 4155552671 and 1234567890",
        "https://example.com/item/4155552671?ref=02079460018",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
        "123-456+7890, 415*555-2671 and a-415-555-2671-b",
        "scores of 555-1234",
        "Boston, MA 02110-1301, USA",
        "325  353  381\n223 3000234",
        "0.4.0 - 2019-09-29",
        "id 39314145-2089-bfa2-31e8-34b0dcb21d1d",
        "4123 5678 " * 2000,
        "DOI 10.1111/1365-2664.12646",
    ],
)
def test_dates_ranges_amounts_and_links_stay(text):
    assert _taken(text) == []
