"""National ids: published examples, and the words that a bare number needs."""

import pytest

from components.data.personal.national import national_ids


def _taken(text: str, *regions) -> list[str]:
    return [text[slice(*span)] for span in national_ids(text, regions)]


@pytest.mark.parametrize(
    ("region", "text", "number"),
    [
        ("US", "SSN 123-45-6789.", "123-45-6789"),
        ("US", "social security no. 123 45 6789", "123 45 6789"),
        ("US", "912-90-3456 is an ITIN", "912-90-3456"),
        ("GB", "(AB 12 34 56 C)", "AB 12 34 56 C"),
        ("GB", "nino: ab123456c", "ab123456c"),
        ("GB", "NHS number 943 476 5919", "943 476 5919"),
        ("CA", "046-454-286 or SIN 130 692 544", "130 692 544"),
        ("DE", "IdNr. 86095742719", "86095742719"),
        ("DE", "86 095 742 719", "86 095 742 719"),
        ("ES", "DNI 12.345.678-Z", "12.345.678-Z"),
        ("ES", "X1234567L", "X1234567L"),
        ("FR", "1 85 05 78 006 084 91", "1 85 05 78 006 084 91"),
        ("IT", "cf RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ],
)
def test_an_id_is_found_in_its_region_and_in_no_other(region, text, number):
    assert _taken(text, region) == [number]
    others = {"CA", "DE", "ES", "FR", "GB", "IT", "US"} - {region}
    assert _taken(text, *others) == []


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("US", "part 123456789 and 123 45 6789"),
        ("US", "000-12-3456, 666-12-3456, 123-00-4567"),
        ("GB", "BG123456C and ab123456c"),
        ("GB", "tel 943 476 5919"),
        ("CA", "130692544 and 130 692 544"),
        ("DE", "order 86095742719"),
        ("ES", "12345678A and 1000000s"),
        ("FR", "1 85 05 78 006 084 92"),
        ("IT", "RSSMRA85T10A562T"),
        ("US", "2-123-45-6789-1"),
    ],
)
def test_a_wrong_check_digit_or_a_bare_number_without_its_word_stays(region, text):
    assert _taken(text, region) == []
