from pathlib import Path
from socket import getfqdn, gethostname

import pytest

from components.core.servers import access
from components.core.settings import settings

_LOGIN = "gardener:a-long-password"


def _given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"BLOOMERY_{name.upper()}", value)
    settings.cache_clear()


def test_without_the_variable_there_is_no_login() -> None:
    assert access.credentials() is None
    assert access.client_environment() == {}


def test_a_login_comes_from_the_variable_or_from_a_private_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _given(monkeypatch, auth=_LOGIN)
    assert access.credentials() == ("gardener", "a-long-password")
    file = tmp_path / "login"
    file.write_text(_LOGIN + "\n", encoding="utf-8")
    file.chmod(0o600)
    _given(monkeypatch, auth=str(file))
    assert access.client_environment() == {
        "PREFECT_API_AUTH_STRING": _LOGIN,
        "MLFLOW_TRACKING_USERNAME": "gardener",
        "MLFLOW_TRACKING_PASSWORD": "a-long-password",
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("gardener", "there is no file 'gardener'"),
        ("gardener:short", "fewer than 12 characters"),
        (":a-long-password", "neither `user:password` nor a file"),
    ],
)
def test_what_is_no_login_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, given: str, says: str
) -> None:
    _given(monkeypatch, auth=given)
    with pytest.raises(ValueError, match=says):
        access.credentials()


def test_a_file_that_others_can_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "login"
    file.write_text(_LOGIN, encoding="utf-8")
    file.chmod(0o644)
    _given(monkeypatch, auth=str(file))
    with pytest.raises(ValueError, match="chmod 600"):
        access.credentials()


def test_a_login_shows_no_password_where_it_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    _given(monkeypatch, auth=_LOGIN)
    shown = f"{access.credentials()} {access.credentials()!r} {settings()!r}"
    assert "gardener" in shown
    assert "a-long-password" not in shown


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_a_host_beyond_loopback_asks_for_a_login(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    _given(monkeypatch, host=host)
    with pytest.raises(ValueError, match="lets other machines in"):
        access.refuse_open_doors()
    _given(monkeypatch, auth=_LOGIN)
    access.refuse_open_doors()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_login_at_all(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    _given(monkeypatch, host=host)
    access.refuse_open_doors()


def test_browsers_reach_the_servers_by_this_machines_names_and_the_proxys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _given(monkeypatch, allowed_hosts="mlflow.lab.org, lab.org,")
    assert access.browser_hosts() == ["127.0.0.1", "lab.org", "localhost", "mlflow.lab.org"]
    _given(monkeypatch, host="192.0.2.7", allowed_hosts="")
    assert {"127.0.0.1", "localhost", "192.0.2.7", gethostname(), getfqdn()} <= set(
        access.browser_hosts()
    )
