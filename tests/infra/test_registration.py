"""Whether the deployments of this code are registered."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from components.core.settings import settings
from infra import registration

_AUTOMATION = yaml.safe_load(registration.FILE.read_text("utf-8"))["automations"][0]["name"]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Give what a server answers, by path; a test changes it as people do."""
    deployment: dict[str, Any] = {
        "name": "pipeline",
        "entrypoint": "flows.pipeline.pipeline",
        "description": "All",
        "tags": [],
        "parameter_openapi_schema": {"type": "object"},
        "work_queue_id": "1",
        "paused": False,
        "parameters": {},
    }
    found: dict[str, Any] = {"deployments": [deployment], "automations": [{"name": _AUTOMATION}]}

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps(found[self.path.split("/")[2]]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    monkeypatch.setenv("BLOOMERY_HOME", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "prefect").mkdir()
    yield found
    server.shutdown()
    server.server_close()


def test_nothing_is_registered_in_a_new_home(rows: dict[str, Any]) -> None:
    assert not registration.is_code_registered()
    assert not registration.is_there()


def test_what_was_noted_is_there_until_a_person_changes_what_the_code_owns(
    rows: dict[str, Any],
) -> None:
    registration.note()
    assert registration.is_code_registered()
    assert registration.is_there()
    rows["deployments"][0]["description"] = "Mine"
    assert not registration.is_there()


def test_pauses_parameters_and_further_automations_are_not_the_codes(rows: dict[str, Any]) -> None:
    registration.note()
    rows["deployments"][0] |= {"paused": True, "parameters": {"recipe": "smoke"}}
    rows["deployments"].append({"name": "other", "entrypoint": "mine.py:flow"})
    rows["automations"].append({"name": "Mine"})
    assert registration.is_there()


@pytest.mark.parametrize("kind", ["deployments", "automations"])
def test_what_was_deleted_is_to_be_registered_again(rows: dict[str, Any], kind: str) -> None:
    registration.note()
    rows[kind].clear()
    assert not registration.is_there()


def test_another_code_is_to_be_registered(rows: dict[str, Any]) -> None:
    registration.note()
    file = settings().home / "prefect" / "registered.json"
    noted = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(noted | {"code": "of another build"}), encoding="utf-8")
    assert not registration.is_code_registered()
