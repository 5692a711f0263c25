"""Presidio on the same planted items and decoys: the reason why it is not what finds them."""

from random import Random

import pytest

from components.data.personal.decoys import decoys
from components.data.personal.detect import PersonalDataKind
from components.data.personal.national import Region
from components.data.personal.planted import ITEMS, SEED, items, measure

KINDS: tuple[PersonalDataKind, ...] = ("email", "iban", "card", "ip", "national_id", "phone")
REGIONS: tuple[Region, ...] = ("CA", "DE", "ES", "FR", "GB", "IT", "US")
THRESHOLD = 0.4  # what Presidio gives a telephone number; its weaker patterns are any digits


@pytest.fixture(scope="module")
def presidio():
    """Return Presidio's recognizers of each kind, as its registry makes them."""
    pytest.importorskip("presidio_analyzer", reason="comes with bloomery[dev]")
    import tldextract
    from presidio_analyzer import predefined_recognizers as known

    offline = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tldextract, "extract", offline)
        ids = ("UsSsn", "UsItin", "UkNino", "Nhs", "CaSin", "DeTaxId", "EsNif", "EsNie")
        yield {
            "email": [known.EmailRecognizer()],
            "iban": [known.IbanRecognizer()],
            "card": [known.CreditCardRecognizer()],
            "ip": [known.IpRecognizer()],
            "national_id": [getattr(known, f"{name}Recognizer")() for name in ids]
            + [known.ItFiscalCodeRecognizer()],
            "phone": [known.PhoneRecognizer(supported_regions=REGIONS)],
        }


def _found(recognizers, text: str) -> list[tuple[int, int]]:
    results = [
        result
        for recognizer in recognizers
        for result in recognizer.analyze(text, recognizer.supported_entities)
    ]
    return [(result.start, result.end) for result in results if result.score >= THRESHOLD]


def _covers(spans, start: int, end: int, text: str) -> bool:
    places = [place for place in range(start, end) if text[place].isalnum()]
    return all(any(low <= place < high for low, high in spans) for place in places)


@pytest.mark.slow
@pytest.mark.prove
def test_no_kind_is_found_less_often_or_with_more_false_alarms_than_by_presidio(presidio):
    ours = {row.form: row for row in measure(KINDS, REGIONS).rows}
    found, alarms = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for item in items(KINDS, REGIONS):
        if item.form in KINDS:
            spans = _found(presidio[item.kind], item.text)
            start = len(item.before)
            found[item.form] += _covers(spans, start, start + len(item.value), item.text)
    for decoy in decoys(Random(f"{SEED} decoys"), 2 * ITEMS):
        for kind in KINDS:
            alarms[kind] += bool(_found(presidio[kind], decoy))
    table = {kind: (ours[kind].found, found[kind], alarms[kind]) for kind in KINDS}
    assert all(mine >= theirs for mine, theirs, _ in table.values()), table
    assert all(ours[kind].false_alarms <= alarms[kind] for kind in KINDS), table
    assert sum(found.values()) < 0.98 * ITEMS * len(KINDS), table
