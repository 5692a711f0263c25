"""Which servers are up over a home, and a server that the shell names."""

import http.server
import os
import threading
import time

import pytest

from components.core.servers.endpoints import Servers, named_api, running_servers, servers_file


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 200 if self.path in ("/api/health", "/health") else 404
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server():
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()


def test_without_the_variable_no_server_is_named(monkeypatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert named_api() is None
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert named_api() is None


def test_a_server_that_answers_is_used(server, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{server}/api/")
    assert named_api() == f"{server}/api"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "nonsense", "http://no.such.host./api"])
def test_one_that_is_silent_is_named_with_the_remedy_within_seconds(url, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    start = time.monotonic()
    with pytest.raises(ValueError, match="unset PREFECT_API_URL") as refused:
        named_api()
    assert str(refused.value).startswith(f"PREFECT_API_URL={url}, which is set in this shell")
    assert time.monotonic() - start < 10


def test_one_that_is_no_prefect_and_a_password_in_it_are_told_apart(server, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{server}/elsewhere")
    with pytest.raises(ValueError, match=r"is not the API of a Prefect server .*HTTP 404"):
        named_api()
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@127.0.0.1:9/api")
    with pytest.raises(ValueError, match="PREFECT_API_URL=") as refused:
        named_api()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("whose", "is_up"), [("own", True), ("unsaid", True), ("copied", False)])
def test_the_servers_of_a_home_do_not_serve_its_copy(server, home, tmp_path, whose, is_up):
    homes = {"own": home, "unsaid": None, "copied": tmp_path / "the first"}
    servers = Servers(pid=os.getpid(), prefect=server, mlflow=server, home=homes[whose])
    home.mkdir(parents=True, exist_ok=True)
    servers_file().write_text(servers.model_dump_json(), encoding="utf-8")
    running_servers.cache_clear()
    try:
        assert running_servers() == (servers if is_up else None)
    finally:
        running_servers.cache_clear()
