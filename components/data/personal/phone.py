"""Telephone numbers, as phonenumbers (Google's libphonenumber) knows them.

Its matcher takes a tenth of a millisecond a region even where there is nothing, so it sees only
stretches that hold seven digits or more. What a national number could as well be (a sum, a range, a
date) is left to its grouping, or to a word before it that speaks of calling.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from components.data.personal.moments import ranges
from components.data.personal.span import SEPARATORS, Span, follows, matches

_RUN = re.compile(rf"[0-9](?:[{SEPARATORS}()/]{{0,4}}[0-9]){{6,}}")
_LEAD = re.compile(r"(?:[+\uff0b] ?\(?|\()\Z")
_TABLE = 300  # characters of digits in one run: a table, on which the matcher would take minutes
_REACH = 24  # after the digits: an extension is written there
_WORDS = re.compile(
    r"\b(?:tel|t[eé]l[eé]?\w*|phon(?:e|es|ed|ing)|telephones?|ph|fax|mob|mobiles?|cell|cellphone"
    r"|call|calls|called|calling|dial|(?:text|ring|reach) (?:me|us|him|her|them)|sms|whatsapp"
    r"|contact|contacts|(?:hot|help)line"
    r"|handy|rufen?|anruf\w*|mobil\w*|m[oó]vil|ll[aá]m\w*|telefon\w*|cellulare|chiam\w*|appele\w*"
    r"|portable)\b|[☎📞📱]",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:(?:1[5-9]|20)[0-9]{2}([-./ ])[01]?[0-9]\1[0-3]?[0-9]"
    r"|[0-3]?[0-9]([-./ ])[0-3]?[0-9]\2(?:1[5-9]|20)?[0-9]{2})(?:[ ,-]+[0-9]{1,2})?"
)
_YEARS = re.compile(r"(?:1[0-9]|20)[0-9]{2}[\-\u2010-\u2015/ ]+(?:1[0-9]|20)[0-9]{2}")
_SSN = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}")  # one that no one has, or that is not asked for
_RANGE = re.compile(r"[0-9]+ [\-\u2010-\u2015] [0-9]+")
_DECIMAL = re.compile(r"[+]?[0-9]+\.[0-9]+")
_AMOUNT = re.compile(r"[0-9]{1,3}(?:([.\u00a0\u202f ])[0-9]{3})(?:\1[0-9]{3})*")
_ZIP = re.compile(r"[0-9]{5}-[0-9]{4}")
_COLUMNS = re.compile(r"[ \u00a0]{2}|(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]")
_BARE = re.compile(r"[0-9]+")
_OTHERS = (_DATE, _YEARS, _SSN, _RANGE, _AMOUNT, _DECIMAL, _ZIP, _BARE)
# What Americans read as a number, whether or not its area code is given out, as 555 is not
_AMERICAN = re.compile(
    r"(?<![\w.+/-])((?:\+?1[-. ])?(?:\([2-9][0-9]{2}\)[ /]{0,3}|[2-9][0-9]{2}([-.]))"
    r"[0-9]{3}(?(2)\2|[-.])[0-9]{4})(?![\w/-]|\.[0-9])"
)
_LOCAL = re.compile(r"(?<![\w.+/()-])[2-9][0-9]{2}-[0-9]{4}(?![\w/-]|\.[0-9])")
_AT = re.compile(r"(?:\b(?:at|on|phone|tel|telephone|fax|ph|dial|call)\b|[:#.]) ?\Z", re.IGNORECASE)
_LINK = re.compile(r"(?:https?:|www\.|doi\b)\S*\Z|[#=%\w]\Z|\w[/.-]\Z", re.IGNORECASE)
_DIALLED = re.compile(r"(?:tel:|callto:|sms:|wa\.me/|phone=)\+?\Z", re.IGNORECASE)


def phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Yield numbers in international form, and in the national form of `regions`."""
    for run in matches(_RUN, text):
        lead = _LEAD.search(text, max(0, run.start() - 3), run.start())
        start = lead.start() if lead else run.start()
        if not _is_other(text, start, run):
            yield from _in_run(text, start, run.end(), regions)


def _is_other(text: str, start: int, run: re.Match[str]) -> bool:
    """Return whether the digits are plainly a date, years, an amount or a part of a link."""
    line = text[max(0, start - 64) : start]
    if _DIALLED.search(line):
        return False
    if _LINK.search(line):
        return True
    digits = run.group()
    if len(digits) > _TABLE:
        return True
    plain = text[start] not in "+(" and not follows(text, start, _WORDS)
    return plain and any(shape.fullmatch(digits) for shape in _OTHERS)


def _in_run(text: str, start: int, end: int, regions: Sequence[str]) -> Iterator[Span]:
    window = text[start : end + _REACH]
    found: list[Span] = []
    dates = ranges(text, start, end)
    if "US" in regions or "CA" in regions:
        found += (Span(*known.span(1)) for known in _AMERICAN.finditer(text, start, end))
        found += _local(text, start, end)
    for region in regions:
        for match in _matches(window, region):
            cut = _surplus(match.raw_string)
            span = Span(start + match.start + cut, start + match.end)
            if span.start < end and _is_taken(text, span, region):
                found.append(span)
    last = 0
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        is_date = any(span.start < date.end and date.start < span.end for date in dates)
        if span.start >= last and not is_date:
            yield span
            last = span.end


def _local(text: str, start: int, end: int) -> Iterator[Span]:
    for found in _LOCAL.finditer(text, start, end):
        if _AT.search(text, max(0, found.start() - 12), found.start()) and follows(
            text, found.start(), _WORDS
        ):
            yield Span(*found.span())


def _matches(text: str, region: str) -> Iterable[Any]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    return PhoneNumberMatcher(text, region, leniency=Leniency.VALID)


def _surplus(raw: str) -> int:
    """Return how much of the start of `raw` is of the text: blanks, a bracket that closes later."""
    blanks = len(raw) - len(raw.lstrip())
    return blanks + (raw[blanks] == "(" and raw.count("(") > raw.count(")"))


def _is_taken(text: str, span: Span, region: str) -> bool:
    raw = text[span.start : span.end]
    if re.match(r"\w|[.-][0-9]|-[a-z]", text[span.end : span.end + 2]):
        return False
    if raw.startswith(("+", "\uff0b", "00", "011")) and not _DECIMAL.fullmatch(raw):
        return True
    if follows(text, span.start, _WORDS) or _DIALLED.search(
        text, max(0, span.start - 12), span.start
    ):
        return True
    others = _COLUMNS.search(raw) or any(shape.fullmatch(raw) for shape in _OTHERS)
    return not others and sum(map(str.isdigit, raw)) >= 9 and _is_grouped(raw, region)


def _is_grouped(raw: str, region: str) -> bool:
    """Return whether the groups are the region's own, or a trunk prefix says what it is."""
    from phonenumbers import Leniency, PhoneMetadata, PhoneNumberMatcher

    if re.match(r"\(?0[1-9][0-9]*(?:[)/ \-\u2010-\u2015]|\.[0-9]+\.)", raw):
        return True
    rules = PhoneMetadata.metadata_for_region(region)
    if rules is None or rules.national_prefix == "0" or len(re.findall("[0-9]+", raw)) < 3:
        return False
    return PhoneNumberMatcher(raw, region, leniency=Leniency.STRICT_GROUPING).has_next()
