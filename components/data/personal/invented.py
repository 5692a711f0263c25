"""Invented personal data with right check digits, in the forms that people write it in."""

import ipaddress
import string
from collections.abc import Callable, Sequence
from random import Random

from components.data.personal.national import Region

FIRST = (
    "Ada Amir Béla Carmen Chloé Dmitri Emma Fatima George Hiroshi Ines Jack Lena Maria Noah Olga"
)
LAST = (
    "Alvarez Becker Costa Dubois Evans Fischer Garcia Hughes Ivanova Jensen Kowalski Moreau Rossi"
)
_HOSTS = (
    "gmail.com hotmail.co.uk yahoo.fr uni-heidelberg.de mail.dept.univ.edu example.org acme.io"
    " web.de posta.it correo.es sub.host-7.net museum.photography xn--bcher-kva.de u-tokyo.ac.jp"
)
_BANKS = {  # digits n, letters a, of a country's accounts: the IBAN registry of SWIFT
    "DE": "n18",
    "GB": "a4n14",
    "FR": "n10c11n2",
    "ES": "n20",
    "IT": "a1n10c12",
    "NL": "a4n10",
    "BE": "n12",
    "NO": "n11",
    "CH": "n5c12",
    "PL": "n24",
    "MT": "a4n5c18",
    "SE": "n20",
}
_CARDS = (  # prefix, length, groups
    ("4", 16, (4, 4, 4, 4)),
    ("51", 16, (4, 4, 4, 4)),
    ("2345", 16, (4, 4, 4, 4)),
    ("37", 15, (4, 6, 5)),
    ("6011", 16, (4, 4, 4, 4)),
    ("36", 14, (4, 6, 4)),
    ("3530", 16, (4, 4, 4, 4)),
    ("62", 16, (4, 4, 4, 4)),
    ("4", 19, (4, 4, 4, 4, 3)),
)


def digits(random: Random, count: int, first: str = string.digits) -> str:
    """Return `count` digits, the first of which is one of `first`."""
    return random.choice(first) + "".join(random.choices(string.digits, k=count - 1))


def grouped(text: str, sizes: Sequence[int], separator: str) -> str:
    """Cut `text` into groups of `sizes`."""
    groups, start = list[str](), 0
    for size in sizes:
        groups.append(text[start : start + size])
        start += size
    return separator.join(group for group in groups if group)


def email(random: Random) -> str:
    """Return an address."""
    first, last = random.choice(FIRST.split()).lower(), random.choice(LAST.split()).lower()
    local = random.choice(
        (
            f"{first}.{last}",
            f"{first[0]}{last}{random.randrange(100)}",
            f"{first}+news",
            f"{last}_{first}",
            f"{last}-office",
            "info",
            f"o'{last}",
            digits(random, 8),
            first[0],
        )
    )
    address = f"{local}@{random.choice(_HOSTS.split())}"
    return address.upper() if random.random() < 0.1 else address


def hidden_email(random: Random) -> str:
    """Return an address written to hide from programs."""
    local, host = email(random).lower().replace("'", "").split("@")
    at, dot = random.choice(
        ((" (at) ", " (dot) "), (" [at] ", "."), ("[at]", "[dot]"), (" at ", " dot "), ("(@)", "."))
    )
    return local.replace(".", dot) + at + host.replace(".", dot)


def card(random: Random) -> str:
    """Return a number that an issuer could give out."""
    from stdnum import luhn

    prefix, length, sizes = random.choice(_CARDS)
    number = prefix + digits(random, length - len(prefix) - 1)
    number += luhn.calc_check_digit(number)
    return grouped(number, sizes, random.choice(("", "", " ", " ", "-", "\u00a0", ".")))


def iban(random: Random) -> str:
    """Return an account of one of a dozen countries."""
    from stdnum import iban as standard

    country, shape = random.choice(list(_BANKS.items()))
    of = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits}
    parts = shape.replace("n", " n").replace("a", " a").replace("c", " c").split()
    bban = "".join("".join(random.choices(of[part[0]], k=int(part[1:]))) for part in parts)
    number = country + standard.calc_check_digits(f"{country}00{bban}") + bban
    number = number.lower() if random.random() < 0.1 else number
    separator = random.choice(("", " ", " ", "-", "\u00a0"))
    return grouped(number, [4] * 9, separator)


def ip(random: Random) -> str:
    """Return an address of a machine in a public or private network."""
    if random.random() < 0.6:
        first = random.choice((10, 192, 172, 8, 23, 81, 133, 203))
        return ".".join(str(part) for part in (first, *(random.randrange(20, 255) for _ in "abc")))
    prefix = random.choice((0x2A02, 0x2001, 0x2607, 0xFD12, 0xFE80)) << 112
    gap = random.choice((16, 64, 96))  # bits that are not zero at the end
    address = ipaddress.IPv6Address(prefix | random.getrandbits(16) << 96 | random.getrandbits(gap))
    return random.choice((str(address), address.exploded, str(address).upper()))


def phone(random: Random, region: Region) -> tuple[str, bool]:
    """Return a valid number of `region`, and whether its form alone says what it is."""
    import phonenumbers
    from phonenumbers import PhoneNumberFormat as Form

    number = _subscriber(random, region)
    national = phonenumbers.format_number(number, Form.NATIONAL)
    international = phonenumbers.format_number(number, Form.INTERNATIONAL)
    code, bare = number.country_code, "".join(c for c in national if c.isdigit())
    forms = [
        (international, True),
        (international.replace(" ", "-"), True),
        (international.replace(" ", "."), True),
        (international.replace(" ", "\u00a0"), True),
        (phonenumbers.format_number(number, Form.E164), True),
        (f"00{international[1:]}" if region not in ("US", "CA") else f"+{code} {national}", True),
        (national, national.startswith(("0", "(")) and not national.isdigit()),
        (bare, False),
        (national.replace(" ", "."), False),
        (national.replace(" ", " / ", 1), False),
        (grouped(bare, (3, 3, 4, 4), "-"), region in ("US", "CA")),
        (grouped(bare, (3, 3, 4, 4), "."), region in ("US", "CA")),
    ]
    if region in ("DE", "FR", "GB"):
        forms.append((f"+{code} (0){national.replace('(', '').replace(')', '')[1:]}", True))
    return random.choice(forms)


def _subscriber(random: Random, region: Region):
    import phonenumbers
    from phonenumbers import PhoneNumberType as Type

    kind = random.choice((Type.FIXED_LINE, Type.MOBILE))
    example = phonenumbers.example_number_for_type(region, kind)
    assert example and example.national_number
    while True:
        known = str(example.national_number)
        keep = random.randrange(2, len(known) - 3)
        text = (
            ("0" if example.italian_leading_zero else "")
            + known[:keep]
            + digits(random, len(known) - keep)
        )
        number = phonenumbers.parse(f"+{example.country_code}{text}")
        if phonenumbers.is_valid_number_for_region(number, region):
            return number


def national_id(random: Random, region: Region) -> tuple[str, str]:
    """Return a valid id of `region` and the word that people write before it.

    The word is empty if the id's own form says what it is.
    """
    return random.choice(_IDS[region])(random)


def _ssn(random: Random) -> tuple[str, str]:
    area = random.choice([n for n in range(1, 900) if n != 666])
    number = f"{area:03d}{random.randrange(1, 100):02d}{random.randrange(1, 10000):04d}"
    form = random.choice(("-", "-", " ", ""))
    word = "" if form == "-" else random.choice(("SSN: ", "social security number ", "SSN "))
    return grouped(number, (3, 2, 4), form), word


def _itin(random: Random) -> tuple[str, str]:
    group = random.choice([n for n in range(70, 100) if n not in (89, 93)])
    return f"9{digits(random, 2)}-{group}-{digits(random, 4)}", ""


def _nino(random: Random) -> tuple[str, str]:
    letters = random.choice(("AB", "JG", "PA", "SX", "YZ", "CE", "WM"))
    number = letters + digits(random, 6) + random.choice("ABCD")
    if random.random() < 0.2:
        return number.lower(), "National Insurance number: "
    return grouped(number, (2, 2, 2, 2, 1), random.choice(("", " ", "-"))), ""


def _nhs(random: Random) -> tuple[str, str]:
    from stdnum.gb import nhs

    while not nhs.is_valid(number := digits(random, 10, "4679")):
        pass
    return grouped(number, (3, 3, 4), random.choice(("", " ", "-"))), "NHS number "


def _sin(random: Random) -> tuple[str, str]:
    from stdnum import luhn

    number = digits(random, 8, "1234567")
    number += luhn.calc_check_digit(number)
    form = random.choice(("-", " ", ""))
    return grouped(number, (3, 3, 3), form), "" if form == "-" else "SIN: "


def _idnr(random: Random) -> tuple[str, str]:
    from stdnum.iso7064 import mod_11_10

    head = random.sample(string.digits, 9)
    head.insert(random.randrange(1, 9), random.choice(head))  # one digit twice
    while head[0] == "0":
        random.shuffle(head)
    number = "".join(head)
    number += mod_11_10.calc_check_digit(number)
    form = random.choice((" ", ""))
    return grouped(number, (2, 3, 3, 3), form), "" if form else random.choice(
        ("Steuer-ID: ", "IdNr. ")
    )


def _dni(random: Random) -> tuple[str, str]:
    from stdnum.es import dni

    number = digits(random, 8)
    letter = dni.calc_check_digit(number)
    form = random.choice(
        (number, f"{number}-", f"{number} ", f"{number[:2]}.{number[2:5]}.{number[5:]}-")
    )
    return form + letter, ""


def _nie(random: Random) -> tuple[str, str]:
    from stdnum.es import nie

    number = random.choice("XYZ") + digits(random, 7)
    letter = nie.calc_check_digit(number)
    return grouped(number + letter, (1, 7, 1), random.choice(("", "-"))), ""


def _nir(random: Random) -> tuple[str, str]:
    from stdnum.fr import nir

    department = random.choice(("75", "13", "69", "2A", "2B", "33", "59"))
    born = f"{random.choice('12')}{digits(random, 2)}{random.randrange(1, 13):02d}"
    number = f"{born}{department}{digits(random, 6)}"
    number += nir.calc_check_digits(number)
    return grouped(number, (1, 2, 2, 2, 3, 3, 2), random.choice(("", " "))), ""


def _fiscal_code(random: Random) -> tuple[str, str]:
    from stdnum.it import codicefiscale

    name = "".join(random.choices("BCDFGLMNPRSTVZ", k=6))
    day = random.randrange(1, 29) + random.choice((0, 40))  # 40 more is a woman's
    born = f"{digits(random, 2)}{random.choice('ABCDEHLMPRST')}{day:02d}"
    code = f"{name}{born}{random.choice('ABCDEFGH')}{digits(random, 3)}"
    code += codicefiscale.calc_check_digit(code)
    code = grouped(code, (3, 3, 5, 5), random.choice(("", "", " ")))
    return code.lower() if random.random() < 0.1 else code, ""


_IDS: dict[Region, tuple[Callable[[Random], tuple[str, str]], ...]] = {
    "CA": (_sin,),
    "DE": (_idnr,),
    "ES": (_dni, _nie),
    "FR": (_nir,),
    "GB": (_nino, _nhs),
    "IT": (_fiscal_code,),
    "US": (_ssn, _itin),
}
