"""A real `bloomery up` over a home of its own, and what tests ask of it."""

import base64
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psutil

CHECKOUT = Path(__file__).resolve().parents[2]
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_OURS = ("BLOOMERY_", "DVC_", "MLFLOW_", "PREFECT_", "RAY_")  # what other tests may have set
_SLOWNESS = 3  # a machine that tests run on may be busy
_PORTS = ("PREFECT", "MLFLOW", "DASHBOARD", "RAY")


class Stack(NamedTuple):
    """A running `bloomery up`."""

    process: "subprocess.Popen[str]"
    environment: dict[str, str]
    home: Path
    prefect: str
    mlflow: str

    def call(
        self, path: str, body: object | None = None, method: str | None = None
    ) -> tuple[int, Any]:
        """Return status and JSON of a call to the Prefect API."""
        return fetch(f"{self.prefect}/api{path}", body, method)

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment as the server has it."""
        return self.call(f"/deployments/name/{name}/{name}")[1]

    def automations(self) -> dict[str, dict[str, Any]]:
        """Return the automations by name."""
        return {each["name"]: each for each in self.call("/automations/filter", {})[1]}

    def start(self, name: str, parameters: dict[str, Any]) -> tuple[int, Any]:
        """Create a run of a deployment."""
        path = f"/deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.call(path, {"parameters": parameters})

    def state(self, run_id: str) -> str:
        """Return the type of state that a run is in."""
        return self.call(f"/flow_runs/{run_id}")[1]["state_type"]

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `bloomery` with these arguments."""
        return subprocess.run(
            [sys.executable, "-m", "flows.command.app", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def listening(self) -> set[str]:
        """Return the addresses that its processes listen on, IPv4 ones as such."""
        tree = psutil.Process(self.process.pid).children(recursive=True)
        return {
            str(connection.laddr[0]).removeprefix("::ffff:")
            for process in tree
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }

    def services(self) -> dict[str, dict[str, Any]]:
        """Return the services as `bloomery status` has them, by name."""
        rows = json.loads(self.command("status", "--json").stdout)["services"]
        return {row["name"]: row for row in rows}


def fetch(
    url: str, body: object | None = None, method: str | None = None, login: str | None = None
) -> tuple[int, Any]:
    """Return status and JSON of a call; a busy server is asked again."""
    status, answer = ask_once(url, body, method, login)
    deadline = time.monotonic() + 200
    while status == 503 and time.monotonic() < deadline:  # as `curl --retry` does
        time.sleep(random.uniform(0.2, 3.0))
        status, answer = ask_once(url, body, method, login)
    return status, answer


def ask_once(
    url: str, body: object | None = None, method: str | None = None, login: str | None = None
) -> tuple[int, Any]:
    """Return status and JSON of a call."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=300) as reply:
            return reply.status, _json(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, _json(error.read())


def _json(text: bytes) -> Any:
    try:
        return json.loads(text or b"null")
    except json.JSONDecodeError:
        return text.decode("utf-8", "replace")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a stack over `home`, on ports that nobody has."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in _PORTS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = {
            f"BLOOMERY_{name}_PORT": str(probe.getsockname()[1])
            for name, probe in zip(_PORTS, probes, strict=True)
        }
    outside = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    ours = {"BLOOMERY_HOME": str(home), "BLOOMERY_RAY_ADDRESS": "off", "PYTHONPATH": str(CHECKOUT)}
    return {**outside, **ours, **ports, **more}


def up(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Start `bloomery up`."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.command.app", "up", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ready(environment: dict[str, str], *arguments: str) -> Stack:
    """Start `bloomery up` and wait for its table."""
    process = up(environment, *arguments)
    assert process.stdout is not None
    said = list[str]()
    for line in process.stdout:
        said.append(line)
        if "stops everything" in line:
            break
    assert process.poll() is None, "".join(said)
    urls = [f"http://127.0.0.1:{environment[f'BLOOMERY_{name}_PORT']}" for name in _PORTS[:2]]
    return Stack(process, environment, Path(environment["BLOOMERY_HOME"]), *urls)


def end(stack: Stack) -> None:
    """Stop it if it runs."""
    if stack.process.poll() is None:
        stack.process.terminate()
    stack.command("down")
    stack.process.wait(120)


def until(ready: Callable[[], Any], seconds: float) -> Any:
    """Return what `ready` returns as soon as that is something."""
    deadline = time.monotonic() + _SLOWNESS * seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, f"not in {_SLOWNESS} times {seconds} s"
        time.sleep(0.3)
    return found


def waiting_runs(stack: Stack) -> list[dict[str, Any]]:
    """Return the runs that wait."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}}
    found = stack.call("/flow_runs/filter", wanted)[1]
    return [run for run in found if not run["auto_scheduled"]]
