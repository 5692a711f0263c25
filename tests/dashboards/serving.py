"""A dashboard in a process of its own, over the store of a test."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.servers.endpoints import tracking_uri

_CHECKOUT = Path(__file__).resolve().parents[2]
_SECONDS = 120  # a busy machine imports torch for half a minute


@contextmanager
def served(prefect: str) -> Iterator[str]:
    """Serve the dashboard until the end of the block and give its address."""
    port = _free_port()
    environment = {
        **os.environ,
        "BLOOMERY_TRACKING_URI": tracking_uri(),
        "PREFECT_API_URL": prefect,
        "PYTHONPATH": str(_CHECKOUT),
    }
    app = str(_CHECKOUT / "dashboards" / "app.py")
    command = [sys.executable, "-m", "streamlit", "run", app, "--server.port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=_CHECKOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _SECONDS
        while not _answers(f"{url}/_stcore/health"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False
