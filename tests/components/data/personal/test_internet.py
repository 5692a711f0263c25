"""Addresses of people and of machines, and what has an @ or three dots besides."""

import socket

import pytest

from components.data.personal.internet import addresses, emails


def _taken(find, text: str) -> list[str]:
    return [text[slice(*span)] for span in find(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<ann.lee+x@mail.example.co.uk>", "ann.lee+x@mail.example.co.uk"),
        ("mailto:ANN@EXAMPLE.ORG.", "ANN@EXAMPLE.ORG"),
        ("write to ann@example.org.Then wait", "ann@example.org"),
        ("josé@correo.es", "josé@correo.es"),
        ("o'neil@example.ie, or", "o'neil@example.ie"),
        ("{ann, bob}@cs.example.edu", "{ann, bob}@cs.example.edu"),
        ("'ann@example.org'", "ann@example.org"),
        (
            "ann_lee (at) mail (dot) example (dot) com now",
            "ann_lee (at) mail (dot) example (dot) com",
        ),
        ("ann [at] example.com.", "ann [at] example.com"),
        ("ann AT example DOT org", "ann AT example DOT org"),
    ],
)
def test_an_address_is_taken_without_what_touches_it(text, address):
    assert _taken(emails, text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "@app.route('/')",
        "y = a @ b.T + x@w.to(device)",
        "react@18.2.0 and root@localhost",
        "git@github.com:owner/project.git",
        "available at shop.example.com, or meet at noon",
        "ann@example.notasuffix",
        "@ @@ a@ @b",
    ],
)
def test_an_at_sign_alone_makes_no_address(text):
    assert _taken(emails, text) == []


def test_public_suffixes_are_known_without_a_network(monkeypatch):
    from components.data.personal.internet import _suffixes

    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    _suffixes.cache_clear()
    assert _taken(emails, "ann@example.co.uk") == ["ann@example.co.uk"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("from 203.0.113.77 port 22", "203.0.113.77"),
        ("http://10.0.0.5:8080/", "10.0.0.5"),
        ("<td>81.2.69.142</td>\n", "81.2.69.142"),
        ("[2001:db8::8a2e:370:7334]:443", "2001:db8::8a2e:370:7334"),
        ("at FE80::1, then", "FE80::1"),
        ("host 2001:db8::1: it", "2001:db8::1"),
        ("\n192.168.1.15\n", "192.168.1.15"),
    ],
)
def test_an_address_of_a_machine_is_taken_without_its_port(text, address):
    assert _taken(addresses, text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1, 0.0.0.0, 255.255.255.0 and ::1",
        "version 10.15.7.21, v2.33.41.8, section 12.33.41.8",
        "Chromium/91.0.44.124, thing==20.33.41.55, thing-20.33.41.55.tar.gz",
        "chapter 3.2.1.4 has 1.3.6.1.4.1.311 and 999.1.2.3",
        "at 12:34:56, a::b, dead::beef, 00:1A:2B:3C:4D:5E, x[2::3]",
    ],
)
def test_versions_times_and_addresses_of_nobody_stay(text):
    assert _taken(addresses, text) == []
