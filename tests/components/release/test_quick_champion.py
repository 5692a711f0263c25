"""The champion without MLflow's client is always the one that the client names."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.core.servers.endpoints import running_servers, servers_file
from components.core.settings import settings
from components.core.tracking.client import client
from components.release.quick_champion import quick_champion
from components.release.registry import champion, register, roll_back

ROOT = Path(__file__).parents[3]


@pytest.fixture
def local(home, monkeypatch) -> Path:
    """The database that MLflow makes in a home whose server is down."""
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "")
    settings.cache_clear()
    return home.resolve() / "mlflow" / "mlflow.db"


def release(name: str, folder: str) -> None:
    path = settings().artifacts / folder
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    tags = {"candidate": folder, "report": "", "opponent": "", "path": folder}
    register(name, path, tags)


def loads_mlflow(name: str) -> bool:
    code = (
        "import sys\n"
        "from components.release.quick_champion import quick_champion\n"
        f"print(quick_champion({name!r}))\n"
        "sys.exit('mlflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode == 1


def test_wherever_the_alias_goes_it_is_what_mlflow_says_without_loading_it(local):
    assert quick_champion("toy") is None
    release("toy", "a/1/first")
    release("toy-2", "a/1/other")
    assert not loads_mlflow("toy")
    seen = [quick_champion("toy")]
    release("toy", "a/1/second")
    seen.append(quick_champion("toy"))
    roll_back("toy", to=None, by="a test", why="to see it move")
    seen.append(quick_champion("toy"))
    assert seen[-1] == champion("toy")
    assert [found and found.version for found in seen] == [1, 2, 1]
    assert seen[2].folder == settings().artifacts / "a/1/first"
    assert quick_champion("toy-2") == champion("toy-2")
    client().delete_registered_model_alias("toy", "champion")
    assert quick_champion("toy") is champion("toy") is None
    client().set_registered_model_alias("toy", "champion", "2")
    client().delete_model_version("toy", "2")
    assert quick_champion("toy") is champion("toy") is None


@pytest.mark.parametrize("name", ["", "what's up?", 'a "b"; --', "../toy", "%", "to_"])
def test_a_name_that_no_model_can_have_is_no_model(local, name):
    release("toy", "a/1/first")
    assert quick_champion(name) is None


def test_tables_of_another_kind_are_left_to_mlflow(local):
    release("toy", "a/1/first")
    with sqlite3.connect(local) as connection:
        connection.execute("UPDATE registered_model_aliases SET workspace = 'elsewhere'")
    assert quick_champion("toy") is None
    with sqlite3.connect(local) as connection:
        connection.execute("UPDATE registered_model_aliases SET workspace = 'default'")
        connection.execute("ALTER TABLE model_version_tags RENAME COLUMN value TO content")
    with pytest.raises(Exception, match="value"):  # MLflow's own word, not a wrong answer
        quick_champion("toy")


def test_an_address_that_the_user_sets_is_asked_through_mlflow(local, monkeypatch, tmp_path):
    release("toy", "a/1/first")
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    settings.cache_clear()
    assert quick_champion("toy") is None, "that database has no such model"


@pytest.fixture
def server(local) -> Iterator[list[str]]:
    """Servers of this home that answer as ours do; yields what they are asked for."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            version = {"name": "toy", "version": "7", "tags": [{"key": "path", "value": "a/1/x"}]}
            known = "alias" not in self.path or "name=toy&" in self.path
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"model_version": version}).encode())

        def log_message(self, format: str, *values: object) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{httpd.server_port}"
    servers_file().parent.mkdir(parents=True, exist_ok=True)
    servers = {"pid": os.getpid(), "prefect": url, "mlflow": url}
    servers_file().write_text(json.dumps(servers), encoding="utf-8")
    running_servers.cache_clear()
    yield asked
    running_servers.cache_clear()
    httpd.shutdown()
    httpd.server_close()


def test_a_running_server_is_asked_and_not_the_file_beside_it(server):
    found = quick_champion("toy")
    assert found is not None
    assert (found.version, found.tags) == (7, {"path": "a/1/x"})
    assert server[-1].endswith("/registered-models/alias?name=toy&alias=champion")
