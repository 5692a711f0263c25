"""What looks like personal data and is none."""
# ruff: noqa: RUF001 - the dashes that people write

import uuid
from collections.abc import Iterator
from random import Random

from components.data.personal.invented import card, digits, grouped, iban, national_id

_FIXED = (
    "@app.route('/users')\ndef users(): ...",
    "Multiply with x@y or with A @ B.T, then take (a@b).sum().",
    "npm install react@18.2.0 and left-pad@1.3.0",
    "git clone git@github.com:owner/project.git",
    "Log in as root@localhost and follow @handle on the site.",
    "The index is at docs.python.org, and see us at www.shop.com today.",
    "Available at shop.example.com or at the counter.",
    "The server listens on 127.0.0.1 and 0.0.0.0 with netmask 255.255.255.0.",
    "std::vector<a::b> c = dead::beef(1); x[2::3]",
    "MAC 00:1A:2B:3C:4D:5E at 12:34:56, lap 1:02:33.450",
    "Chromium/91.0.44.124 and Safari/6.1.22.99",
    "pip install thing==2.0.11.5, see thing-2.0.11.5.tar.gz",
    "As in section 3.2.1.4 and clause 10.4.12.33 of the standard",
    "version 10.15.7.21, v2.33.41.8 and firmware 12.31.45.20",
    "f(x) = 123-456+7890 and 555 - 1234 = -679; 415*555-2671",
    "The score was 21-14, 28-7 and 103-101 in 2019-2020 and 2020-2021.",
    "At 52.5200, 13.4050 in 1920x1080, colour #4a6741.",
    "Vom 03.06.-07.06.2015, 03.07 - 17.07.15, 03/2015 – 03/2016 und 03.08.15-04.08.15",
    "DOI 10.1111/1365-2664.12646 and arXiv:2301.12345",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
    "pp. 1365-2664, vol. 12 (3), 100-122, 1998",
    "It cost $1,234,567.89, or 1.234.567,89 euros, or 12 345 678 francs.",
    "The population rose from 612 345 678 to 712 345 678.",
    "from 2012-09-30 08:15 to 30.09.2013, and 10/02/2017",
    "Flight 1234, gate 22, seat 14A; train 87-05-12; lot 1234567890",
    "ring 12 of 34 56 78 90 calls in 1998, 1999, 2000 and 2001",
    "energy 0 - 103 and 8000 - 16348 keV, row & 1234 & 5678 & 9012",
    "Decimal('0.333333333') + Decimal('86087.7578') - 35236450.6",
)


def decoys(random: Random, count: int) -> Iterator[str]:
    """Yield every fixed one, and `count` of those that are made of random numbers."""
    yield from _FIXED
    for _ in range(count):
        yield random.choice(_MADE)(random)


def _broken(text: str) -> str:
    """Return `text` with another last digit: no check digit here survives that."""
    place = max(n for n, letter in enumerate(text) if letter.isdigit())
    return f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"


def _isbn(random: Random) -> str:
    return f"ISBN 978-{grouped(digits(random, 10), (1, 3, 5, 1), '-')} and {digits(random, 9)}X"


def _order(random: Random) -> str:
    return f"Order {_broken(card(random))} was shipped."


def _account(random: Random) -> str:
    return f"Reference {_broken(iban(random))}."


def _id(random: Random) -> str:
    return f"Part no. {_broken(national_id(random, random.choice(('ES', 'IT', 'FR')))[0])}"


def _unissued(random: Random) -> str:
    return f"Code {random.choice(('000', '666'))}-{digits(random, 2)}-{digits(random, 4)}"


def _hash(random: Random) -> str:
    return f"commit {random.getrandbits(160):040x}, {uuid.UUID(int=random.getrandbits(128))}"


def _float(random: Random) -> str:
    return f"loss = {random.random():.16f}, {random.gauss(0, 1e4):.6f}, {random.random():.3e}"


def _time(random: Random) -> str:
    return f"at {random.randrange(10**9, 2 * 10**9)} ({random.randrange(10**12, 2 * 10**12)} ms)"


def _table(random: Random) -> str:
    return "\t".join(digits(random, random.randrange(1, 6)) for _ in range(12))


def _number(random: Random) -> str:
    return f"Item {digits(random, random.randrange(7, 17), '123456789')} in stock"


def _dates(random: Random) -> str:
    """Return a range of days, months, years or times, as people write it."""
    shape = random.choice(
        (
            "{0:02}.{1:02}.{2:02}{to}{3:02}.{4:02}.{5:02}",
            "{0:02}.{1:02}.20{2:02}{to}{3:02}.{4:02}.20{5:02}",
            "{0:02}.{1:02}.{to}{3:02}.{4:02}.20{5:02}",
            "{0}.{1}.{to}{3}.{4}.20{5:02}",
            "{0:02}/{1:02}/20{2:02}{to}{3:02}/{4:02}/20{5:02}",
            "{1:02}/20{2:02}{to}{4:02}/20{5:02}",
            "{1:02}.20{2:02}{to}{4:02}.20{5:02}",
            "20{2:02}-{1:02}-{0:02} - 20{5:02}-{4:02}-{3:02}",
            "20{2:02}-{1:02}-{0:02}/20{5:02}-{4:02}-{3:02}",
            "20{2:02}{1:02}{0:02}{to}20{5:02}{4:02}{3:02}",
            "19{2:02}{to}20{5:02}",
            "{1:02}:{0:02}{to}{4:02}:{3:02}",
            "{1:02}.{0:02}{to}{4:02}.{3:02}",
        )
    )
    days = [random.randint(*ends) for ends in ((1, 31), (1, 12), (10, 29)) * 2]
    around = random.choice(("from {}", "{}: clerk", "({})", "Vom {} geschlossen", "open {} daily"))
    return around.format(shape.format(*days, to=random.choice(("-", " - ", "–", " – "))))


def _version(random: Random) -> str:
    parts = ".".join(str(random.randrange(40)) for _ in range(4))
    return f"{random.choice(('version', 'release', 'v', 'firmware'))} {parts} of the program"


def _place(random: Random) -> str:
    north, east = random.uniform(-90, 90), random.uniform(-180, 180)
    return f"at {north:.{random.randint(4, 7)}f}, {east:.{random.randint(4, 7)}f} on the map"


def _result(random: Random) -> str:
    sets = (f"{random.randint(0, 7)}-{random.randint(0, 7)}" for _ in range(random.randint(3, 5)))
    return f"won {' '.join(sets)}, then {random.randint(60, 130)}-{random.randint(60, 130)}"


def _pages(random: Random) -> str:
    first = random.randint(100, 4000)
    sign = random.choice(("-", "–"))
    return f"{random.choice(('pp.', 'pages', 'S.'))} {first}{sign}{first + random.randint(1, 60)}"


def _doi(random: Random) -> str:
    journal, year, paper = digits(random, 4, "123456789"), digits(random, 2), digits(random, 5)
    return f"doi:10.{journal}/0{digits(random, 3)}-{digits(random, 4)}({year}){paper}-{year[0]}"


def _amount(random: Random) -> str:
    amount = f"{random.randrange(10**5, 10**9):,}"
    sign = random.choice((",", ".", " ", "\u202f"))
    return f"{random.choice(('$', '€ ', 'EUR ', '£'))}{amount.replace(',', sign)} in total"


def _chemical(random: Random) -> str:
    """Return a CAS number with its right check digit."""
    body = digits(random, random.randint(4, 9), "123456789")
    check = sum(place * int(digit) for place, digit in enumerate(reversed(body), 1)) % 10
    return f"CAS {body[:-2]}-{body[-2:]}-{check}"


def _link(random: Random) -> str:
    return f"https://shop.example.com/item/{digits(random, 10)}?ref={digits(random, 12)}"


_MADE = (
    *(_isbn, _order, _account, _id, _unissued, _hash, _float, _time, _table, _number, _link),
    *(_dates, _dates, _version, _place, _result, _pages, _doi, _amount, _chemical),
)
