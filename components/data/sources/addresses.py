"""Which hosts a download may reach: an address from outside must not lead inside."""

import ipaddress
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def is_inside(host: str) -> bool:
    """Whether a name or address leads to this machine or a private or link-local network.

    One such address of several is enough. Raises ValueError if there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"no host {host!r}: {error}") from error
    return any(is_inside_address(str(entry[4][0])) for entry in found)


def is_inside_address(address: str) -> bool:
    """Whether an IP address is not one of the public internet."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return not parsed.is_global


def check_url(url: str, may_be_inside: bool) -> None:
    """Raise ValueError if `url` is not HTTP(S), or leads inside where that is not allowed."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"it leads to {parts.scheme}://..., which is not followed")
    if may_be_inside or is_proxied(parts.scheme, parts.hostname):
        return
    if is_inside(parts.hostname):
        raise ValueError(
            f"it leads to {parts.hostname}, a private address: give that URL yourself if meant"
        )


def is_proxied(scheme: str, host: str) -> bool:
    """Whether the environment sends requests to `host` through a proxy, which then decides."""
    return scheme in getproxies() and not proxy_bypass(host)
