"""Numbers by which states know people.

A number with a shape of its own, and a check digit or fixed hyphens, is taken wherever it stands;
one that could as well be any number only after a word that says what it is.
"""

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple

from components.data.personal.span import SEPARATORS, Span, compact, follows, goes_on, matches

Region = Literal["CA", "DE", "ES", "FR", "GB", "IT", "US"]
"""Countries whose national ids and national telephone numbers are known, ISO 3166."""

_S = f"[{SEPARATORS}]?"
_DASH = r"[\-\u2010-\u2015]"


class Id(NamedTuple):
    """How one kind of id is written, checked and spoken of."""

    region: Region
    name: str
    digits: str
    """Its shape, from its first digit: an expression that starts with digits is fast."""
    valid: str
    """Module of python-stdnum that checks it, or the shape of what has no check digit."""
    words: str
    """What people write before it."""
    alone: str = ""
    """Shape that needs no such word; empty if every shape does."""
    letters: str = ""
    """What stands before the first digit."""


IDS = (
    Id(
        "US",
        "SSN",
        rf"[0-9]{{3}}{_S}[0-9]{{2}}{_S}[0-9]{{4}}",
        "stdnum.us.ssn",
        r"social sec|\bssn?\b|\bss#|taxpayer",
        rf"[0-9]{{3}}{_DASH}[0-9]{{2}}{_DASH}[0-9]{{4}}",
    ),
    Id(
        "US",
        "ITIN",
        rf"9[0-9]{{2}}{_S}[0-9]{{2}}{_S}[0-9]{{4}}",
        "stdnum.us.itin",
        r"\bitin\b|taxpayer|\btin\b|tax id",
        rf"9[0-9]{{2}}{_DASH}[0-9]{{2}}{_DASH}[0-9]{{4}}",
    ),
    Id(
        "GB",
        "NINO",
        rf"[0-9]{{2}}{_S}[0-9]{{2}}{_S}[0-9]{{2}}{_S}[A-Da-d]",
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]",
        r"national ins|\bnino\b|\bni (?:no|num)|\bni:|insurance n",
        rf"[A-Z]{{2}}{_S}[0-9]{{2}}{_S}[0-9]{{2}}{_S}[0-9]{{2}}{_S}[A-D]",
        letters=rf"[A-Za-z]{{2}}{_S}",
    ),
    Id("GB", "NHS", rf"[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{4}}", "stdnum.gb.nhs", r"\bnhs\b|health"),
    Id(
        "CA",
        "SIN",
        rf"[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}",
        "stdnum.ca.sin",
        r"social ins|\bsin\b|\bnas\b|assurance soc",
        rf"[0-9]{{3}}{_DASH}[0-9]{{3}}{_DASH}[0-9]{{3}}",
    ),
    Id(
        "DE",
        "IdNr",
        rf"[0-9]{{2}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}",
        "stdnum.de.idnr",
        r"steuer|\bid-?nr|\btin\b|tax id|identifikation|identnummer",
        r"[0-9]{2} [0-9]{3} [0-9]{3} [0-9]{3}",
    ),
    Id(
        "ES",
        "DNI",
        rf"[0-9]{{2}}\.?[0-9]{{3}}\.?[0-9]{{3}}{_S}[A-Za-z]",
        "stdnum.es.dni",
        r"\bdni\b|\bnif\b|\bd\.n\.i|identidad",
        rf"[0-9]{{2}}\.?[0-9]{{3}}\.?[0-9]{{3}}{_S}[A-Z]",
    ),
    Id(
        "ES",
        "NIE",
        rf"[0-9]{{7}}{_S}[A-Za-z]",
        "stdnum.es.nie",
        r"\bnie\b|\bn\.i\.e|extranjer",
        rf"[X-Z]{_S}[0-9]{{7}}{_S}[A-Z]",
        letters=rf"[X-Zx-z]{_S}",
    ),
    Id(
        "FR",
        "NIR",
        rf"[1-478]{_S}[0-9]{{2}}{_S}(?:0[1-9]|1[0-2]|[2-9][0-9]){_S}(?:[0-9]{{2}}|2[ABab]){_S}"
        rf"[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{2}}",
        "stdnum.fr.nir",
        r"s.curit. sociale|\bnir\b|\bn° ?ss|insee",
        r".+",
    ),
    Id(
        "IT",
        "codice fiscale",
        rf"[0-9]{{2}}{_S}[A-Za-z][0-9LMNP-V]{{2}}{_S}[A-Za-z][0-9LMNP-V]{{3}}{_S}[A-Za-z]",
        "stdnum.it.codicefiscale",
        r"fiscale|\bc\.? ?f\b",
        r".+",
        letters=rf"[A-Za-z]{{3}}{_S}[A-Za-z]{{3}}{_S}",
    ),
)


class _Compiled(NamedTuple):
    digits: re.Pattern[str]
    letters: re.Pattern[str] | None
    alone: re.Pattern[str] | None
    words: re.Pattern[str]
    is_valid: Callable[[str], bool]


def national_ids(text: str, regions: Sequence[Region]) -> Iterator[Span]:
    """Yield the ids of `regions` that are valid and written so, or spoken of, as theirs."""
    for kind in IDS:
        if kind.region in regions:
            yield from _found(text, _compiled(kind))


def _found(text: str, kind: _Compiled) -> Iterator[Span]:
    for digits in matches(kind.digits, text):
        start = _start(text, digits.start(), kind.letters)
        if start is None or goes_on(text, start, digits.end()):
            continue
        span = Span(start, digits.end())
        alone = kind.alone is not None and kind.alone.fullmatch(text, *span) is not None
        if (alone or follows(text, start, kind.words)) and kind.is_valid(
            compact(text[start : span.end])
        ):
            yield span


def _start(text: str, digits: int, letters: re.Pattern[str] | None) -> int | None:
    if not letters:
        return digits
    found = letters.search(text, max(0, digits - 9), digits)
    return found.start() if found else None


@cache
def _compiled(kind: Id) -> _Compiled:
    return _Compiled(
        digits=re.compile(kind.digits),
        letters=re.compile(rf"(?<![0-9A-Za-z])(?:{kind.letters})\Z") if kind.letters else None,
        alone=re.compile(kind.alone) if kind.alone else None,
        words=re.compile(kind.words, re.IGNORECASE),
        is_valid=_check(kind.valid),
    )


def _check(valid: str) -> Callable[[str], bool]:
    if valid.startswith("stdnum."):
        return importlib.import_module(valid).is_valid
    shape = re.compile(valid)
    return lambda number: shape.fullmatch(number) is not None
