"""What people read of the stack: nothing of a URL is lost, and what does not answer is not up."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from components.core.servers.endpoints import Servers
from infra.services import Service
from infra.status import ServiceStatus, Status, table
from infra.supervisor import Process, supervised
from tests.infra.stacks import until

_URL = "http://127.0.0.1:50000/#/experiments?workflowType=machine_learning"


def _service(name: str, state: str, url: str) -> ServiceStatus:
    what = "pipelines, models, training and data at a glance"
    return ServiceStatus(name=name, state=state, url=url, what=what, pid=1, num_restarts=2)


def _status(state: str) -> Status:
    servers = Servers(pid=1, prefect="http://127.0.0.1:4200", mlflow="http://127.0.0.1:5000")
    services = (_service("mlflow", "up", _URL), _service("worker", state, ""))
    return Status(pid=1, services=services, servers=servers)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_url_is_whole_and_ends_its_line_at_any_width(width: int) -> None:
    shown = io.StringIO()
    Console(file=shown, width=width).print(table(_status("up"), Path("/a/home")))
    lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    assert any(line.endswith(_URL) for line in lines) or width < 80
    assert _URL in "".join(line.strip() for line in lines), "nothing of it is lost"
    for url in ("http://127.0.0.1:4200/docs", "/a/home/logs"):
        assert any(line.endswith(url) for line in lines), lines
    (worker,) = [line for line in lines if line.startswith("worker")]
    assert worker.split()[1] == "up"


@pytest.mark.parametrize("state", ["starting", "silent", "down"])
def test_all_is_up_only_if_the_worker_is(state: str) -> None:
    assert _status("up").is_healthy
    assert not _status(state).is_healthy


def test_a_service_is_up_once_it_answers_and_no_longer_when_it_does_not(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    service = Service("nap", ["-c", "import time; time.sleep(600)"], is_ready=ready.exists)
    with supervised({}, tmp_path) as supervisor:
        process: Process = supervisor.start(service)
        supervisor.attend()
        assert process.state == "starting"
        ready.touch()
        until(lambda: supervisor.attend() == ["nap is up"], 10)
        ready.unlink()
        until(lambda: supervisor.attend() == ["nap does not answer just now"], 30)
        assert process.state == "silent"
        ready.touch()
        until(lambda: supervisor.attend() == ["nap is up"], 10)
        assert process.state == "up"
