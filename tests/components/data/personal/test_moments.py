"""Ranges of dates, months, years and times stay, however they are written."""
# ruff: noqa: RUF001 - the dashes that people write

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.personal.detect import mask

KINDS = ("email", "iban", "card", "ip", "national_id", "phone")
REGIONS = ("CA", "DE", "ES", "FR", "GB", "IT", "US")
JOINTS = st.sampled_from(["-", " - ", "–", " – ", " — "])
FULL = (
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%d/%m/%y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
)
PARTS = ("%m/%Y", "%m.%Y", "%Y/%m", "%m/%y")
AROUND = st.sampled_from(
    ["{}", "Vom {} geschlossen.", "({})", "Clerk, {}: sales", "open {}, daily"]
)


def masked(text: str) -> str:
    return mask(text, KINDS, REGIONS).text


@settings(deadline=None, max_examples=300)
@given(
    st.dates(date(1950, 1, 1), date(2039, 12, 31)),
    st.integers(0, 900),
    st.sampled_from([*FULL, *PARTS]),
    JOINTS,
    AROUND,
)
def test_a_range_of_dates_or_months_in_one_form_stays(first, days, form, joint, around):
    last = first + timedelta(days)
    text = around.format(f"{first.strftime(form)}{joint}{last.strftime(form)}")
    assert masked(text) == text


@settings(deadline=None, max_examples=100)
@given(st.dates(date(1950, 1, 1), date(2039, 12, 31)), st.integers(0, 60), JOINTS, AROUND)
def test_a_range_whose_year_stands_at_its_end_stays(first, days, joint, around):
    last = first + timedelta(days)
    for begin in ("%d.%m.", "%d.%m", "%d."):
        text = around.format(f"{first.strftime(begin)}{joint}{last.strftime('%d.%m.%Y')}")
        assert masked(text) == text


@settings(deadline=None, max_examples=100)
@given(st.times(), st.times(), st.sampled_from(["%H:%M", "%H.%M", "%Hh%M"]), JOINTS)
def test_a_range_of_times_stays(first, last, form, joint):
    text = f"open {first.strftime(form)}{joint}{last.strftime(form)} on weekdays"
    assert masked(text) == text


@settings(deadline=None, max_examples=100)
@given(
    st.dates(date(1950, 1, 1)), st.integers(0, 900), st.sampled_from([" - ", " – ", "/", " to "])
)
def test_a_range_of_iso_dates_stays(first, days, joint):
    text = f"{first}{joint}{min(first, date(9000, 1, 1)) + timedelta(days)} in all rooms"
    assert first.year > 2099 or masked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "pp. 1024-1056, S. 0123-0145",
        "ISBN 978-3-16-148410-0, ISBN 3-16-148410-X and ISSN 0317-8471",
        "CAS 7732-18-5, 64-17-5 and 10025-87-3",
        "at 52.520008, 13.404954, which is 52°31'12\"N 13°24'18\"E",
        "doi:10.1016/0022-2836(81)90087-5",
        "won 6-4 6-3 7-6, then 103-101",
        "EUR 100.000-200.000, $1,234,567.89 and 1 000 000 - 2 000 000",
        "version 1.2.3.4, firmware 12.31.45.20",
        "winters of 1998/99 - 2003/04",
    ],
)
def test_other_numbers_of_several_groups_stay(text):
    assert masked(text) == text


@pytest.mark.parametrize(
    "number",
    ["01 23 16 28 46", "06.12.34.56.78", "06-12-34-56-78", "(030) 12 34 56 78", "+49 30 12 34 56"],
)
def test_numbers_of_pairs_are_still_numbers(number):
    assert masked(f"Tel: {number}") == "Tel: <PHONE>"
