"""Ranges of dates, months, years and times of day, whose digits read like a telephone number's."""

import re

from components.data.personal.span import Span

_DASH = r"\-\u2010-\u2015\u2212"
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_CENTURY = r"(?:1[0-9]|20)[0-9]{2}"
_YEAR = rf"(?:{_CENTURY}|[0-9]{{2}})"
_CLOCK = r"(?:[01]?[0-9]|2[0-4])[:.h][0-5][0-9]"
_TO = rf"(?: ?[{_DASH}] ?|/| (?:to|until|till|bis|und|and|au?|al?|et|y|e|до|по) )"
_NOT_AFTER, _NOT_BEFORE = r"(?<![\w+])(?<![\w)][.,/\-])", r"(?![\w/])(?!\.[0-9])"


def _dates() -> str:
    """Return the ways to write a day of a year, with one sign between its parts."""
    orders = (
        (_DAY, _MONTH, _YEAR),
        (_MONTH, _DAY, _YEAR),
        (_CENTURY, _MONTH, _DAY),
    )
    signs = (r"\.", r"\. ", "/", "-", " ")
    whole = [sign.join(order) for order in orders for sign in signs]
    return "|".join([*whole, rf"{_CENTURY}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"])


def _months() -> str:
    pairs = ((_MONTH, _CENTURY), (_CENTURY, _MONTH), (_MONTH, "[0-9]{2}"))
    found = [sign.join(pair) for pair in pairs[:2] for sign in (r"\.", "/", "-", " ")]
    return "|".join([*found, "/".join(pairs[2])])


_DATE = rf"(?:{_dates()})(?:[ ,T]{{1,2}}{_CLOCK}(?:[:.][0-5][0-9])?)?"
_OF_A_YEAR = rf"{_DAY}(?:\. ?{_MONTH}\.?|/{_MONTH}|\.)?"  # the year stands with the end alone
_RANGE = re.compile(
    rf"{_NOT_AFTER}(?:"
    rf"(?:{_DATE}){_TO}(?:{_DATE}|{_CLOCK})"
    rf"|{_OF_A_YEAR}{_TO}(?:{_DATE}|{_DAY}(?:\. ?|/){_MONTH}\.?)"
    rf"|(?:{_months()}){_TO}(?:{_months()})"
    rf"|{_CLOCK}{_TO}{_CLOCK}"
    rf"|{_CENTURY}(?:/[0-9]{{2,4}})?{_TO}{_CENTURY}(?:/[0-9]{{2,4}})?"
    rf"){_NOT_BEFORE}"
)
_REACH = 24  # characters before the digits that a range may begin in


def ranges(text: str, start: int, end: int) -> list[Span]:
    """Return the ranges of dates, months, years or times that lie around `start:end`."""
    return [
        Span(*found.span()) for found in _RANGE.finditer(text, max(0, start - _REACH), end + _REACH)
    ]
