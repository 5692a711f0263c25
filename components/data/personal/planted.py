"""How well personal data is found: invented data in invented sentences, and what resembles it."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from components.core.artifacts.data import Planted
from components.data.personal import invented
from components.data.personal.decoys import decoys
from components.data.personal.detect import PLACEHOLDERS, PersonalDataKind, mask
from components.data.personal.national import Region

ITEMS = 240
"""Planted items of a kind, and decoys for all kinds together times two."""
SEED = 7

_AROUND = (
    "{}",
    "It is {}.",
    "We wrote down {}, and then left.",
    "({})",
    "[{}]",
    '"{}"',
    "The first line\n{}\nand the third",
    "name;{};city",
    "| Lee | {} |",
    "<td>{}</td>",
    "id,value\n17,{},ok\n",
    "Is it {}? Yes: {{it}} is!",
    "Meeting in 2019 at 12:30: {} - see you there",
)
_WORDS = {
    "email": ("mailto:{}", "<{}>", "E-mail: {}", "write to {}!", '<a href="mailto:{}">me</a>'),
    "phone": ("Tel: {}", "call {} now", "Phone {}.", "Fax: {}", "text me on {}", "Mobile ({})"),
    "card": ("Card: {}, exp. 12/27", "paid by Visa {} today", "card number={}"),
    "iban": ("IBAN: {}", "to account {} by Friday", "IBAN {} BIC DEUTDEFF"),
    "ip": ("http://{}/index.html", "from {} port 22", "{}/24", "ping {}"),
}
_PEOPLE = (
    "My name is {} and I live here.",
    "Yesterday {} said that it would rain.",
    "The letter was signed by {}.",
    "Dear {}, thank you for your order.",
    "According to {}, who led the study, it works.",
)


class PlantedSentence(NamedTuple):
    """A sentence with one piece of invented personal data."""

    form: str
    """Kind, or the kind and how it is disguised."""
    kind: str
    """Kind of the data, a key of `PLACEHOLDERS`."""
    before: str
    """Text up to the data."""
    value: str
    """The data."""
    after: str
    """Text after it."""

    @property
    def text(self) -> str:
        """The sentence."""
        return self.before + self.value + self.after

    @property
    def masked(self) -> str:
        """What it should become."""
        return self.before + PLACEHOLDERS[self.kind] + self.after


class Results(NamedTuple):
    """What was found of the planted items."""

    rows: tuple[Planted, ...]
    """One for each kind, then those of disguises and names, of which no recall is asked."""
    missed: list[str]
    """Sentences whose data was not masked, or not exactly."""
    false_alarms: list[str]
    """Decoys that were masked."""


def items(
    kinds: Sequence[PersonalDataKind], regions: Sequence[Region], names: bool = False
) -> Iterator[PlantedSentence]:
    """Yield `ITEMS` sentences for each kind, the same ones every time."""
    for kind in kinds:
        random = Random(f"{SEED} {kind}")  # a text, so that a kind has its own whatever the others
        for place in range(ITEMS):
            yield _item(random, kind, regions[place % len(regions)])
    if "email" in kinds:
        random = Random(f"{SEED} hidden")
        for _ in range(ITEMS):
            yield _in(random, "email, spelled out", "email", invented.hidden_email(random), _AROUND)
    if names:
        random = Random(f"{SEED} person")
        for _ in range(ITEMS):
            name = f"{random.choice(invented.FIRST.split())} {random.choice(invented.LAST.split())}"
            yield _in(random, "person", "person", name, _PEOPLE)


def _item(random: Random, kind: PersonalDataKind, region: Region) -> PlantedSentence:
    around = _AROUND + _WORDS.get(kind, ())
    if kind == "phone":
        value, is_plain = invented.phone(random, region)
        return _in(random, kind, kind, value, around if is_plain else _WORDS["phone"])
    if kind == "national_id":
        value, word = invented.national_id(random, region)
        return _in(random, kind, kind, value, around, word)
    make = {"email": invented.email, "card": invented.card, "iban": invented.iban}
    return _in(random, kind, kind, make.get(kind, invented.ip)(random), around)


def _in(
    random: Random, form: str, kind: str, value: str, around: Sequence[str], word: str = ""
) -> PlantedSentence:
    before, after = random.choice(around).replace("{{it}}", "it").split("{}")
    return PlantedSentence(form, kind, before + word, value, after)


def measure(
    kinds: Sequence[PersonalDataKind], regions: Sequence[Region], names: bool = False
) -> Results:
    """Mask the planted items and the decoys, and compare with what they should become.

    A decoy counts as a false alarm of each kind that took something of it.
    """
    asked = (*kinds, "person") if names else tuple(kinds)
    planted, found = dict[str, int](), dict[str, int]()
    missed: list[str] = []
    for item in items(kinds, regions, names):
        looked_for = asked if item.kind == "person" else kinds  # some sentences have a name too
        is_found = mask(item.text, looked_for, regions).text == item.masked
        planted[item.form] = planted.get(item.form, 0) + 1
        found[item.form] = found.get(item.form, 0) + is_found
        if not is_found:
            missed.append(item.text)
    taken = dict.fromkeys(planted, 0)
    alarms: list[str] = []
    for decoy in decoys(Random(f"{SEED} decoys"), 2 * ITEMS):
        if counts := mask(decoy, asked, regions).counts:
            alarms.append(decoy)
            taken |= {kind: taken[kind] + 1 for kind in counts}
    rows = tuple(
        Planted(
            form=form,
            planted=count,
            found=found[form],
            false_alarms=taken[form],
            due=count if form in kinds else 0,
            due_found=found[form] if form in kinds else 0,
        )
        for form, count in planted.items()
    )
    return Results(rows, missed, alarms)
