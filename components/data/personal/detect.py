"""Where personal data is in a text, by kind, and the text without it.

A placeholder is the kind's name in angle brackets, such as `<EMAIL>`: letters that every tokenizer
has, so no vocabulary needs to know of it; the same few tokens each time, so a model learns it as
one thing; no digit and no `@`, so nothing here ever finds it again; and what text rarely has, so a
program can put invented values back in its place.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from components.data.personal.internet import addresses, emails
from components.data.personal.national import Region, national_ids
from components.data.personal.payment import cards, ibans
from components.data.personal.people import names
from components.data.personal.phone import phones
from components.data.personal.span import Span

PersonalDataKind = Literal["email", "iban", "card", "ip", "national_id", "phone"]
"""Kinds of structured personal data, those first whose form leaves least doubt."""

PLACEHOLDERS = {
    kind: f"<{kind.upper()}>"
    for kind in ("email", "iban", "card", "ip", "national_id", "phone", "person")
}
_PLACEHOLDER = re.compile("|".join(PLACEHOLDERS.values()))

_FIND: dict[str, Callable[[str, Sequence[Region]], Iterator[Span]]] = {
    "email": lambda text, _: emails(text),
    "iban": lambda text, _: ibans(text),
    "card": lambda text, _: cards(text),
    "ip": lambda text, _: addresses(text),
    "national_id": national_ids,
    "phone": phones,
    "person": lambda text, _: names(text),
}


class Masked(NamedTuple):
    """A text without its personal data."""

    text: str
    counts: Counter[str]
    """Placeholders that were put in, by kind."""


def find(text: str, kinds: Sequence[str], regions: Sequence[Region]) -> list[tuple[Span, str]]:
    """Return the spans and their kinds, in order; none overlaps another or a placeholder.

    What two kinds claim is of the one that is first in `PLACEHOLDERS`.
    """
    taken = [Span(*old.span()) for old in _PLACEHOLDER.finditer(text)]
    found: list[tuple[Span, str]] = []
    for kind in (kind for kind in PLACEHOLDERS if kind in kinds):
        new = [span for span in _FIND[kind](text, regions) if _is_free(span, taken)]
        for span in new:
            if _is_free(span, taken):
                taken.append(span)
                found.append((span, kind))
    return sorted(found)


def mask(text: str, kinds: Sequence[str], regions: Sequence[Region]) -> Masked:
    """Put a placeholder where personal data is, until none is found; all else stays as it is.

    What stood next to something masked may then stand alone, so "until": it makes masking a
    masked text change nothing. Each round leaves less that is not a placeholder, so it ends.
    """
    counts = Counter[str]()
    while found := find(text, kinds, regions):
        parts: list[str] = []
        end = 0
        for span, kind in found:
            parts += (text[end : span.start], PLACEHOLDERS[kind])
            end = span.end
            counts[kind] += 1
        text = "".join((*parts, text[end:]))
    return Masked(text, counts)


def _is_free(span: Span, taken: Sequence[Span]) -> bool:
    return all(span.end <= other.start or other.end <= span.start for other in taken)
