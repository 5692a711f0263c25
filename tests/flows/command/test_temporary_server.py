"""The server of one run: out of its process group, and gone when the run is, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.infra.stacks import environment

pytestmark = pytest.mark.slow

_RUN = """
import signal, time, urllib.request
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs in the background
from flows.command import temporary_server
url = temporary_server.start({})
print(url, urllib.request.urlopen(url + "/health").status, flush=True)
time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process, leader of its group, that has started its server."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN],
        env=environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def _server(run: "subprocess.Popen[str]") -> psutil.Process:
    assert run.stdout is not None
    assert run.stdout.readline().split()[1] == "200"
    (server,) = psutil.Process(run.pid).children()
    return server


def test_a_signal_to_the_group_reaches_the_run_alone_and_the_server_ends_after_it(
    run: "subprocess.Popen[str]",
) -> None:
    server = _server(run)
    assert os.getpgid(server.pid) != os.getpgid(run.pid)
    os.killpg(run.pid, signal.SIGINT)
    run.wait(30)
    server.wait(30)
    assert not server.is_running()


def test_a_run_that_is_killed_takes_its_server_along(run: "subprocess.Popen[str]") -> None:
    server = _server(run)
    run.kill()
    server.wait(30)
    assert not server.is_running()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broken = environment(
        tmp_path / "home", PREFECT_SERVER_DATABASE_CONNECTION_URL="sqlite+aiosqlite:////no/such/db"
    )
    start = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", _RUN], env=broken, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 1
    assert "Prefect's temporary server ended with code" in process.stderr
    assert "unable to open database file" in process.stderr
    assert time.monotonic() - start < 250
