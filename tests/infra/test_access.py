"""A stack with a login: nobody comes in without it, and nothing writes it down."""

import base64
import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests import small_project
from tests.infra.stacks import Stack, end, environment, fetch, ready, until

pytestmark = [pytest.mark.slow, pytest.mark.prove]

_LOGIN = "gardener:canary-5f0c9e71d2"
_SECRET = _LOGIN.partition(":")[2].encode()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a login and a warm Ray head, which the test asks itself."""
    pytest.importorskip("flask_wtf", reason="MLflow's login needs mlflow[auth]")
    folder = tmp_path_factory.mktemp("closed")
    ours = {
        "BLOOMERY_AUTH": _LOGIN,
        "BLOOMERY_RAY_ADDRESS": "local",  # the warm head, while the stack is up
        "BLOOMERY_ALLOWED_HOSTS": "mlflow.lab.org, bloomery.lab.org",
        "BLOOMERY_PROJECT": str(small_project.make_to_run(folder / "project")),
    }
    started = ready(environment(folder / "home", **ours), "--ray")
    yield started
    end(started)


def test_prefect_and_mlflow_let_nobody_in_without_the_login(closed: Stack) -> None:
    experiments = f"{closed.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    for url in (f"{closed.prefect}/api/admin/version", experiments):
        assert fetch(url)[0] == 401
        assert fetch(url, login="gardener:another-password")[0] == 401
        assert fetch(url, login=_LOGIN)[0] == 200
    assert fetch(f"{closed.prefect}/api/deployments/filter", {})[0] == 401


def _status(url: str, method: str, **headers: str) -> int:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    login = base64.b64encode(_LOGIN.encode()).decode()
    body = b'{"experiment_ids": ["0"]}' if method == "POST" else None
    headers |= {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    connection.request(
        method, place.path, body, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    return connection.getresponse().status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", 200),
        ("localhost:{port}", "http://localhost:{port}", 200),
        ("mlflow.lab.org", "https://mlflow.lab.org", 200),
        ("mlflow.lab.org:{port}", "http://mlflow.lab.org:{port}", 200),
        ("rebound.org:{port}", "http://rebound.org:{port}", 403),
        ("127.0.0.1:{port}", "https://another.org", 403),
    ],
)
def test_mlflow_serves_its_pages_under_the_names_it_was_told(
    closed: Stack, host: str, origin: str, status: int
) -> None:
    port = urlsplit(closed.mlflow).port
    named = {"Host": host.format(port=port), "Origin": origin.format(port=port)}
    url = f"{closed.mlflow}/ajax-api/2.0/mlflow/runs/search"
    assert _status(url, "POST", **named) == status


@pytest.mark.parametrize(
    ("origin", "status"), [("https://bloomery.lab.org", 101), ("https://another.org", 403)]
)
def test_the_dashboard_talks_to_pages_of_its_own_alone(
    closed: Stack, origin: str, status: int
) -> None:
    pytest.importorskip("streamlit")
    wanted = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    wanted |= {"Sec_WebSocket_Key": "AQIDBAUGBwgJCgsMDQ4PEA==", "Origin": origin}
    url = f"http://127.0.0.1:{closed.environment['BLOOMERY_DASHBOARD_PORT']}/_stcore/stream"
    assert _status(url, "GET", **wanted) == status


def test_ray_lets_no_driver_in_without_the_token(closed: Stack) -> None:
    token = closed.home / "ray_token"
    assert token.stat().st_mode & 0o077 == 0
    code = "import ray; ray.init(address={!r}, log_to_driver=False); print('in')"
    address = f"127.0.0.1:{closed.environment['BLOOMERY_RAY_PORT']}"
    command = [sys.executable, "-c", code.format(address)]
    quiet = {**closed.environment, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    quiet["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    wrong = closed.home.parent / "wrong_token"
    wrong.write_text("0" * 64, encoding="utf-8")
    for file, comes_in in ((wrong, False), (token, True)):
        done = subprocess.run(
            command,
            env={**quiet, "RAY_AUTH_TOKEN_PATH": str(file)},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert ("in" in done.stdout.split()) is comes_in, done.stderr[-2000:]


def test_nothing_of_a_closed_stack_listens_beyond_loopback(closed: Stack) -> None:
    assert closed.listening() == {"127.0.0.1"}


def test_runs_sign_in_everywhere_and_the_password_is_written_nowhere(closed: Stack) -> None:
    for command in (["trigger", "data", "--wait"], ["run", "pretrain"]):
        done = closed.command(*command, "--recipe", "smoke")
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(closed.home.glob("artifacts/data.tokenize/*/*/artifact.json"))
    url = f"{closed.mlflow}/api/2.0/mlflow/runs/search"
    found = until(lambda: fetch(url, {"experiment_ids": ["1"]}, login=_LOGIN)[1].get("runs"), 30)
    names = [run["info"]["run_name"].split()[-1] for run in found]
    assert {"data.tokenize", "pretrain.train"} <= set(names)

    assert _secret_in_files(closed.home) == []
    for process in psutil.process_iter():
        assert _SECRET.decode() not in " ".join(_command_line(process))
    ray = Path(f"/tmp/bloomery-ray-{os.getuid()}/session_latest/logs")
    assert not ray.exists() or _secret_in_files(ray) == []


def _secret_in_files(folder: Path) -> list[Path]:
    """Return the files that hold the password: text, databases and their journals alike."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert files
    return [file for file in files if re.search(re.escape(_SECRET), file.read_bytes())]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
