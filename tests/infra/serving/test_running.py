"""The command as a process of its own: from its start to its end."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from infra.serving.options import Limits
from infra.serving.running import Serving, serve
from tests.infra.serving.parrots import until

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def test_the_command_serves_completes_what_was_begun_and_ends(parrots, home, tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "flows.command.app", "serve", f"polly={parrots[0]}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BLOOMERY_HOME": str(home)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        until(is_up, seconds=120)
        body = {"prompt": "one", "max_tokens": 200, "stream": True, "ignore_eos": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60) as reply:
            lines = reply.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            assert list(lines)[-2:] == ["data: [DONE]", ""]
        process.wait(60)
        assert process.returncode in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def test_a_port_that_is_taken_is_named(parrots):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"Port {port} is taken by process {os.getpid()}"):
            serve(Serving(models=(str(parrots[0]),), port=port))


def test_nobody_else_is_let_in_without_a_key(parrots, monkeypatch):
    from components.core.settings import settings

    monkeypatch.setenv("BLOOMERY_HOST", "0.0.0.0")
    settings.cache_clear()
    with pytest.raises(ValueError, match="give a file of keys by --keys"):
        serve(Serving(models=(str(parrots[0]),)))


def test_two_models_of_one_name_and_a_model_that_is_nowhere_are_refused(parrots):
    port = free_port()
    with pytest.raises(ValueError, match="say NAME=FOLDER for one"):
        serve(Serving(models=(f"a={parrots[0]}", f"a={parrots[1]}"), port=port))
    with pytest.raises(ValueError, match="no version with the alias 'champion'"):
        serve(Serving(models=("nobody",), port=port, limits=Limits(num_slots=1)))
