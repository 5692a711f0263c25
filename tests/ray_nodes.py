"""Real Ray nodes on this machine, as `ray start` makes them on the machines of a cluster."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from components.core.processes.ray_cluster import LOOPBACK_ALONE

_START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
_SIZES = ["--num-cpus=1", f"--object-store-memory={100 << 20}"]
_SIZES += ["--min-worker-port=0", "--max-worker-port=0"]
_PATIENCE_SECONDS = 120


class Cluster:
    """A head and another node, each with one CPU, behind a token."""

    def __init__(self, folder: Path, last_under: Sequence[str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.token = folder / "token"
        self.token.write_text(secrets.token_hex(32), encoding="utf-8")
        self.folder, self.last_under = folder, last_under
        self.nodes = list[subprocess.Popen[bytes]]()

    def start_head(self) -> None:
        head = ["--head", f"--port={self.address.partition(':')[2]}", "--include-dashboard=false"]
        self._start([*_START, *head, f"--temp-dir=/tmp/bloomery-test-{os.getpid()}"])

    def start_another(self) -> None:
        self._start([*self.last_under, *_START, f"--address={self.address}"])

    def replace_last_node(self) -> None:
        """Have a node lose its power, and a new one come."""
        dying = psutil.Process(self.nodes[-1].pid)
        for process in [*dying.children(recursive=True), dying]:
            process.kill()
        self.start_another()

    def _start(self, command: list[str]) -> None:
        quiet = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("BLOOMERY_") and name != LOOPBACK_ALONE
        }
        ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        log = self.folder / f"node-{len(self.nodes)}.log"
        with log.open("wb") as stream:
            self.nodes.append(
                subprocess.Popen(
                    [*command, *_SIZES], env={**quiet, **ours}, stdout=stream, stderr=stream
                )
            )
        _wait_for_raylet(self.nodes[-1], log)


@contextmanager
def cluster(folder: Path, last_under: Sequence[str] = ()) -> Iterator[Cluster]:
    """Start the nodes, the last one under another command, and stop them at the end."""
    found = Cluster(folder, last_under)
    try:
        found.start_head()
        found.start_another()
        yield found
    finally:
        for node in reversed(found.nodes):
            node.terminate()
        for node in found.nodes:
            node.wait(60)


def _wait_for_raylet(node: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while "block forever" not in log.read_text("utf-8", "replace"):
        assert node.poll() is None, log.read_text("utf-8", "replace")
        assert time.monotonic() < deadline, log.read_text("utf-8", "replace")
        time.sleep(0.2)
