"""Calls to the servers of this machine with nothing but the standard library.

With httpx and tenacity `bloomery trigger` and `bloomery status` take 1.4 times the CPU to start.
"""

import base64
import json
import time
import urllib.error
import urllib.request
from typing import Any

from components.core.servers.access import credentials

_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)


class Refused(ValueError):
    """A server answered with an error."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep the HTTP status and what the server said."""
        super().__init__(f"{detail} (HTTP {status})")
        self.status = status


def call(url: str, body: object = None, method: str | None = None, timeout: float = 30.0) -> Any:
    """Return the JSON (or a true value) that a server answers; a `body` makes it a POST.

    A server that is busy (503: SQLite has one writer) has done nothing, and is asked again.

    Raises:
        Refused: the server says no.
        OSError: it does not answer.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **_authorization()}
    request = urllib.request.Request(url, data, headers, method=method)
    for pause in _PAUSES_SECONDS:
        try:
            return _ask(request, timeout)
        except Refused as error:
            if error.status != 503:
                raise
        time.sleep(pause)
    return _ask(request, timeout)


def _ask(request: urllib.request.Request, timeout: float) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            text = reply.read()
            is_json = "json" in reply.headers.get("Content-Type", "")
            return json.loads(text) if is_json and text else True
    except urllib.error.HTTPError as error:
        raise Refused(error.code, _detail(error.read().decode("utf-8", "replace"))) from error
    except urllib.error.URLError as error:
        raise OSError(f"{request.full_url} does not answer: {error.reason}") from error


def answer(url: str, body: object = None) -> Any:
    """Return what a server answers within seconds, None if it does not or says no."""
    try:
        return call(url, body, timeout=5)
    except (OSError, ValueError):
        return None


def _authorization() -> dict[str, str]:
    if (login := credentials()) is None:
        return {}
    token = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _detail(text: str) -> str:
    """Return what went wrong in the words of Prefect, MLflow or whoever said it."""
    try:
        said = json.loads(text)
    except json.JSONDecodeError:
        return text[:500] or "no reason given"
    if not isinstance(said, dict):
        return str(said)
    found = said.get("detail") or said.get("exception_detail") or said.get("message") or said
    return found if isinstance(found, str) else json.dumps(found)
