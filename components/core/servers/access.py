"""The login of this machine's servers: `BLOOMERY_AUTH`, and how each tool takes it.

It reaches processes by their environment alone, so that it is in no list of processes, and no
artifact, record or log has it.
"""

import ipaddress
from pathlib import Path
from socket import AF_INET, getfqdn, gethostname
from typing import NamedTuple

from components.core.settings import settings

_MIN_PASSWORD = 12  # MLflow takes no shorter one


class Credentials(NamedTuple):
    """Who may use the servers."""

    user: str
    """Name of the one user, an administrator in MLflow."""
    password: str
    """At least 12 characters."""

    def __repr__(self) -> str:
        """Return the name alone."""
        return f"Credentials({self.user!r}, ...)"

    def __str__(self) -> str:
        """Return the name alone: no log may have the rest."""
        return repr(self)


def credentials() -> Credentials | None:
    """Return the login that `BLOOMERY_AUTH` asks for, None if it is not set.

    Raises:
        ValueError: it is not `user:password`, nor a file of it that only this user can read.
    """
    given = settings().auth
    if given is None or not given.get_secret_value():
        return None
    user, separator, password = _text(given.get_secret_value()).partition(":")
    if not (user and separator):
        raise ValueError("BLOOMERY_AUTH is neither `user:password` nor a file that holds it.")
    if len(password) < _MIN_PASSWORD:
        raise ValueError(
            f"The password in BLOOMERY_AUTH has fewer than {_MIN_PASSWORD} characters."
        )
    return Credentials(user, password)


def _text(given: str) -> str:
    """Return what a file holds, if this is the path of one."""
    if ":" in given and not Path(given).is_file():
        return given
    file = Path(given).expanduser()
    if not file.is_file():
        raise ValueError(f"BLOOMERY_AUTH is not `user:password`, and there is no file {given!r}.")
    if file.stat().st_mode & 0o077:
        raise ValueError(f"Others can read {file}, which BLOOMERY_AUTH names: chmod 600 {file}")
    return file.read_text("utf-8").strip()


def client_environment() -> dict[str, str]:
    """Return the variables that Prefect's and MLflow's clients send the login by."""
    if (login := credentials()) is None:
        return {}
    return {
        "PREFECT_API_AUTH_STRING": f"{login.user}:{login.password}",
        "MLFLOW_TRACKING_USERNAME": login.user,
        "MLFLOW_TRACKING_PASSWORD": login.password,
    }


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def browser_hosts() -> list[str]:
    """Return the names and addresses by which browsers reach the servers of this machine.

    A server answers to no other: a page in somebody's browser that gives its own name the address
    of this machine (DNS rebinding) is sent away.
    """
    hosts = {"127.0.0.1", "localhost", *proxied_hosts()}
    if not is_loopback(settings().host):
        import psutil  # twelve milliseconds, which every command would wait for

        families = psutil.net_if_addrs().values()
        hosts |= {each.address for found in families for each in found if each.family == AF_INET}
        hosts |= {gethostname(), getfqdn(), settings().host}
    return sorted(hosts)


def proxied_hosts() -> list[str]:
    """Return the names that a proxy in front of the servers has."""
    return [name.strip() for name in settings().allowed_hosts.split(",") if name.strip()]


def refuse_open_doors() -> None:
    """Make sure that nothing listens beyond loopback without a login.

    Raises:
        ValueError: `BLOOMERY_HOST` is an address that others reach, and there is no login, or one
            that is no login.
    """
    host, login = settings().host, credentials()
    if not is_loopback(host) and login is None:
        raise ValueError(
            f"BLOOMERY_HOST={host} lets other machines in, and whoever reaches the servers can run "
            "code here. Set BLOOMERY_AUTH to `user:password` or to a file that holds it (chmod "
            "600), or leave BLOOMERY_HOST at 127.0.0.1."
        )
