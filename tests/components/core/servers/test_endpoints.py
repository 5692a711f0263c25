"""Which servers are up over a home: not those of the home that it is a copy of."""

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from components.core.servers.endpoints import Servers, running_servers, servers_file


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url():
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("whose", "is_up"), [("own", True), ("unsaid", True), ("copied", False)])
def test_the_servers_of_a_home_do_not_serve_its_copy(url, home, tmp_path, whose, is_up):
    homes = {"own": home, "unsaid": None, "copied": tmp_path / "the first"}
    servers = Servers(pid=os.getpid(), prefect=url, mlflow=url, home=homes[whose])
    home.mkdir(parents=True, exist_ok=True)
    servers_file().write_text(servers.model_dump_json(), encoding="utf-8")
    running_servers.cache_clear()
    try:
        assert running_servers() == (servers if is_up else None)
    finally:
        running_servers.cache_clear()
