"""The automation that tells of a failed run: made switched off; switched on, it calls a webhook."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.infra.stacks import FINAL, Stack, until

pytestmark = [pytest.mark.slow, pytest.mark.prove]
_NAME = "A run failed"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a webhook, and what it was told."""
    told: list[str] = []

    class Ears(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Ears)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/told", told
    server.shutdown()
    thread.join()


def _fails(stack: Stack) -> str:
    """Run what fails, and return the name of the run."""
    run = stack.start("ingest", {"name": "nothing", "source": {"location": "/nowhere/at/all.txt"}})[
        1
    ]
    until(lambda: stack.state(run["id"]) in FINAL, 120)
    assert stack.state(run["id"]) == "FAILED"
    return run["name"]


def test_a_failed_run_calls_the_webhook_once_it_is_switched_on_and_has_an_address(
    stack: Stack, webhook: tuple[str, list[str]]
) -> None:
    address, told = webhook
    made = stack.automations()[_NAME]
    assert not made["enabled"], "nobody asked for it"
    assert "Blocks" in made["description"]
    [action] = made["actions"]
    block = f"/block_documents/{action['block_document_id']}"
    data = {"data": {"url": address}, "merge_existing_data": True}
    assert stack.call(block, data, "PATCH")[0] == 204
    assert stack.call(f"/automations/{made['id']}", {"enabled": True}, "PATCH")[0] == 204
    try:
        name = _fails(stack)
        until(lambda: told, 60)
    finally:
        stack.call(f"/automations/{made['id']}", {"enabled": False}, "PATCH")
    [text] = told
    assert f"ingest {name}: Failed" in text.splitlines()[0]
    assert f"{stack.prefect}/runs/flow-run/" in text
