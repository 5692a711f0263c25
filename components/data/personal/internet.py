"""E-mail addresses, also those written to hide from programs, and addresses of machines."""

import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from components.data.personal.span import Span, follows

_LOCAL_END = re.compile(r"(?:[\w!#$%&'*+/=?^`{|}~.-]|\\.)+\Z")
_DOMAIN = re.compile(r"[^\W_](?:[\w-]{0,62}\.)+(?:xn--[a-z0-9-]+|[^\W\d_]{2,24})", re.IGNORECASE)
_GROUP = re.compile(r"\{[\w.+-]+(?:, ?[\w.+-]+)+\}\Z")  # {ann,bob}@host, as papers have it
_WRAPPING = "!#$%&'*/=?^`{|}~.-"  # legal at the start of a local part, but quotes and code there

# at and dot in brackets, or at and dot as words of their own between words of lower case
_HIDDEN = re.compile(
    r"[(\[{<] ?(?:at|@) ?[)\]}>]| at (?=[a-z0-9-]+(?: dot | ?[(\[{] ?dot))", re.IGNORECASE
)
_HIDDEN_DOT = r"(?: ?[(\[{<] ?(?:dot|\.) ?[)\]}>] ?| dot |\.)"
_HIDDEN_DOMAIN = re.compile(rf" ?([a-z0-9-]+(?:{_HIDDEN_DOT}[a-z0-9-]+)+)", re.IGNORECASE)
_HIDDEN_LOCAL = re.compile(rf"[\w+-]+(?:{_HIDDEN_DOT}[\w+-]+)* ?\Z", re.IGNORECASE)

_VERSION = re.compile(
    r"(?:version|\bver|\brelease|\bv|\bsections?|\bsec|\bchapter|\bclause|§|\bbuild|\bfirmware|\boid|\bart(?:icle)?"
    r"|\btable|\bfig(?:ure)?|\bpart|\bappendix)\b[.:\s]{0,3}\Z",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:ip|ipv4|address|addr|host|server|ping|client|dns|from|user|visitor|remote)\b",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6 = re.compile(r"[23fF][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?")


def emails(text: str) -> Iterator[Span]:
    """Yield addresses whose domain ends in a public suffix, and `name (at) host (dot) com`."""
    at = text.find("@")
    while at >= 0:
        if span := _email(text, at):
            yield span
        at = text.find("@", at + 1)
    yield from hidden_emails(text)


def _email(text: str, at: int) -> Span | None:
    local = _LOCAL_END.search(text, max(0, at - 64), at)  # 64: the limit of RFC 5321
    domain = _DOMAIN.match(text, at + 1, at + 255)
    if not local or not domain:
        return None
    end = at + 1 + len(_public_part(domain.group()))
    start = at - len(text[local.start() : at].lstrip(_WRAPPING))
    if group := _GROUP.search(text, max(0, at - 200), at):
        start = group.start()
    is_code = text[end : end + 1] in ("(", "[")  # x@w.to(device)
    is_git = text[start:at] == "git" and text[end : end + 1] in (":", "/")
    if start == at or end == at + 1 or is_code or is_git:
        return None
    return Span(start, end)


def _public_part(domain: str) -> str:
    """Return the longest beginning that ends in a public suffix: `a.com` of `a.com.Then`."""
    labels = domain.split(".")
    for count in range(len(labels), 1, -1):
        if _is_public(part := ".".join(labels[:count])):
            return part
    return ""


def hidden_emails(text: str) -> Iterator[Span]:
    """Yield addresses whose `@` is spelled out."""
    for at in _HIDDEN.finditer(text):
        local = _HIDDEN_LOCAL.search(text, max(0, at.start() - 64), at.start())
        domain = _HIDDEN_DOMAIN.match(text, at.end())
        if local and domain and (end := _hidden_end(domain)):
            yield Span(local.start(), end)


def _hidden_end(domain: re.Match[str]) -> int:
    """Return where the longest part that is a domain ends; 0 if none is."""
    parts = list(re.finditer(r"[a-z0-9-]+", domain.group(1), re.IGNORECASE))
    labels = [part.group() for part in parts if part.group().lower() != "dot"]
    ends = [part.end() for part in parts if part.group().lower() != "dot"]
    for count in range(len(labels), 1, -1):
        if _is_public(".".join(labels[:count])):
            return domain.start(1) + ends[count - 1]
    return 0


def addresses(text: str) -> Iterator[Span]:
    """Yield IPv4 and IPv6 addresses of machines; numbers of versions and sections are none.

    Loopback, unspecified, multicast and reserved ones (netmasks) point at nobody and stay.
    """
    for found in _IPV4.finditer(text):
        if _is_machine(found.group()) and not _is_version(text, found):
            yield Span(*found.span())
    for found in _IPV6.finditer(text):
        ends = (found.end(), found.end() - 1)  # a colon after it may be punctuation
        end = next((end for end in ends if _is_machine(text[found.start() : end])), 0)
        if (
            end
            and not re.match(r"\w|:[\w:]", text[end : end + 2])
            and not _inside(text, found.start())
        ):
            yield Span(found.start(), end)


def _is_machine(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    nobody = address.is_loopback or address.is_unspecified or address.is_multicast
    return not nobody and not (address.version == 4 and (address.is_reserved or text[:2] == "0."))


def _is_version(text: str, found: re.Match[str]) -> bool:
    start, end = found.span()
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if _inside(text, start) or re.match(r"\w|[.-]\w", after):
        return True
    if before[-1:] in "-/=~^" and re.match(r"[\w=~<>!]", before[-2:-1]):
        return True  # package-1.2.3.4, Agent/1.2.3.4, package==1.2.3.4
    if _VERSION.search(text, max(0, start - 16), start):
        return True
    if before == "//":
        return False
    small = all(int(part) < 20 for part in found.group().split("."))
    return small and not follows(text, start, _MACHINE)


def _inside(text: str, start: int) -> bool:
    return bool(re.search(r"[\w:]\Z|\w[.]\Z", text[max(0, start - 2) : start])) and not text[
        max(0, start - 7) : start
    ].lower().endswith("::ffff:")


def _is_public(domain: str) -> bool:
    found = _suffixes()(domain.rstrip("."))
    return bool(found.domain and found.suffix)


@cache
def _suffixes() -> Any:
    from tldextract import TLDExtract

    # the list that the package brings: without this it asks the network and the home folder
    return TLDExtract(suffix_list_urls=(), cache_dir=None)
