"""The planted set: enough of it, right, varied, and the same every time."""

from random import Random

from components.data.personal.decoys import decoys
from components.data.personal.planted import items, measure

KINDS = ("email", "iban", "card", "ip", "national_id", "phone")
REGIONS = ("CA", "DE", "ES", "FR", "GB", "IT", "US")


def _values(form: str) -> list[str]:
    return [item.value for item in items(KINDS, REGIONS) if item.form == form]


def test_there_are_two_hundred_different_items_of_each_kind_the_same_every_time():
    for form in (*KINDS, "email, spelled out"):
        assert len(set(_values(form))) >= 200, form
    assert list(items(KINDS, REGIONS)) == list(items(KINDS, REGIONS))
    assert list(items(("phone",), REGIONS)) == [
        item for item in items(KINDS, REGIONS) if item.kind == "phone"
    ]


def test_invented_cards_satisfy_luhn_and_invented_accounts_mod_97():
    for card in _values("card"):
        digits = [int(letter) for letter in reversed(card) if letter.isdigit()]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
        assert (sum(digits[::2]) + sum(doubled)) % 10 == 0
    for iban in _values("iban"):
        plain = "".join(letter for letter in iban if letter.isalnum())
        assert int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def test_every_region_has_ids_that_are_found():
    for region in REGIONS:
        (row,) = measure(("national_id",), (region,)).rows
        assert row.recall >= 0.98, (region, row)


def test_decoys_are_counted_against_the_kind_that_takes_them(monkeypatch):
    clean = measure(("card",), ("US",))
    assert clean.rows[0].false_alarms == len(clean.false_alarms) == 0
    monkeypatch.setattr("stdnum.luhn.is_valid", lambda number: True)
    lax = measure(("card",), ("US",))
    assert lax.rows[0].false_alarms == len(lax.false_alarms) > 20
    assert lax.rows[0].precision < 0.95


def test_there_are_decoys_beside_those_of_random_numbers():
    assert len(set(decoys(Random(1), 300))) > 250
