"""Numbers that move money: payment cards and bank accounts."""

import re
from collections.abc import Iterator

from components.data.personal.span import SEPARATORS, Span, compact, goes_on, matches

_CARD = re.compile(rf"(?<![0-9])[2-6](?=[0-9]{{3}}(?:[{SEPARATORS}]?[0-9]){{8}})")
_CARD_DIGITS = re.compile(rf"[0-9](?:[{SEPARATORS}]?[0-9]){{11,18}}")
# ISO/IEC 7812 prefixes and the lengths that each issuer gives out
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d{2})\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)
_GROUPS = {"4444", "465", "464", "44443", "613", "4333"}

_IBAN = re.compile(rf"[0-9]{{2}}(?=(?:[{SEPARATORS}]?[0-9A-Za-z]){{11}})")
_IBAN_COUNTRY = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[ \-\u00a0]?\Z")
_IBAN_REST = re.compile(rf"(?:[{SEPARATORS}]?[0-9A-Za-z]){{11,32}}")
_IBAN_LENGTHS = range(15, 35)


def cards(text: str) -> Iterator[Span]:
    """Yield numbers that an issuer could give out and whose Luhn digit is right."""
    end = 0
    for found in matches(_CARD, text):
        if found.start() >= end and (span := _card(text, found.start())):
            yield span
            end = span.end


def _card(text: str, start: int) -> Span | None:
    from stdnum import luhn

    digits = _CARD_DIGITS.match(text, start)
    if not digits:
        return None
    places = [place for place, letter in enumerate(digits.group()) if letter.isdigit()]
    for length in range(19, 11, -1):
        if length > len(places):
            continue
        span = Span(start, start + places[length - 1] + 1)
        number = compact(text[span.start : span.end])
        if (
            _ISSUERS.fullmatch(number)
            and luhn.is_valid(number)
            and not goes_on(text, *span)
            and _is_grouped(text[span.start : span.end])
        ):
            return span
    return None


def _is_grouped(number: str) -> bool:
    groups = re.split(rf"[{SEPARATORS}]", number)
    same = len(set(re.sub(r"[0-9]", "", number))) <= 1
    return same and (len(groups) == 1 or "".join(str(len(group)) for group in groups) in _GROUPS)


def ibans(text: str) -> Iterator[Span]:
    """Yield account numbers with the structure of their country and a right mod-97 remainder."""
    for found in matches(_IBAN, text):
        country = _IBAN_COUNTRY.search(text, max(0, found.start() - 4), found.start())
        if country and (end := _iban_end(text, country.start(), found.end())):
            yield Span(country.start(), end)


def _iban_end(text: str, start: int, digits_end: int) -> int:
    from stdnum import iban

    rest = _IBAN_REST.match(text, digits_end)
    if not rest:
        return 0
    head = compact(text[start:digits_end])
    places = [rest.start() + n for n, letter in enumerate(rest.group()) if letter.isalnum()]
    for length in _IBAN_LENGTHS:
        if length - 4 > len(places):
            return 0
        end = places[length - 5] + 1
        if text[end : end + 1].isalnum():
            continue
        # the country's own digits are not asked for: one wrong inside is still somebody's account
        if iban.is_valid(head + compact(text[digits_end:end]), check_country=False):
            return end
    return 0
