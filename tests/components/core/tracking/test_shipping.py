"""What MLflow misses while it is slow, stopped, killed or gone is there in the end, once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from filelock import FileLock

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import address, execute
from components.core.journal import Origin
from components.core.settings import settings
from components.core.tracking import shipping, spool
from components.core.tracking.client import client

pytest.importorskip("mlflow")

DEAD = "http://127.0.0.1:9"
INPUTS = DataRevision(revision="1.dir")


class Steps(Component[DataRevision, Artifact]):
    """Writes a point a step; the spool has when it did."""

    version: ClassVar[str] = "1.0.0"
    name_of_test: str
    num_steps: int = 3
    seconds: float = 0.0

    def run(self, inputs: DataRevision, out: Path) -> Artifact:
        spool.rewind(out, 0)
        for step in range(1, self.num_steps + 1):
            spool.append(out, step, {"loss": 1 / step})
            time.sleep(self.seconds)
        return Artifact(path=out)


class Resumed(Component[DataRevision, Artifact]):
    """Breaks after step 4 and goes on from step 2 with the same numbers, as a resume does."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Artifact:
        is_second = (out / "attempted").exists()
        (out / "attempted").touch()
        spool.rewind(out, 2 if is_second else 0)
        for step in range(3 if is_second else 1, 7 if is_second else 5):
            spool.append(out, step, {"loss": 1 / step})
        if not is_second:
            raise RuntimeError("broken")
        return Artifact(path=out)


class Server:
    """A MLflow server over a database of its own, which can be stopped, killed and started."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._folder = folder
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port"]
        command += [str(self._port), "--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        command += ["--default-artifact-root", str(self._folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("MLflow does not start")

    def signal(self, number: signal.Signals) -> None:
        """The parent's child has the port, so both get it."""
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def _use(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", uri)
    settings.cache_clear()


def _run_in_mlflow(out: Path):
    shipment = shipping.load(out)
    assert shipment is not None
    assert shipment.run_id is not None
    return client().get_run(shipment.run_id)


def _points(out: Path) -> list[tuple[int, float]]:
    """Return what MLflow has of the loss."""
    points = client().get_metric_history(_run_in_mlflow(out).info.run_id, "loss")
    return sorted((point.step, point.value) for point in points)


def _spool(out: Path) -> list[tuple[int, float]]:
    return [(point["step"], point["metrics"]["loss"]) for _, point in spool.read(out)]


@pytest.mark.slow
def test_a_server_that_hangs_dies_and_comes_back_costs_no_step_and_no_point(server, monkeypatch):
    _use(server.url, monkeypatch)
    component = Steps(name_of_test="faults", num_steps=160, seconds=0.05)
    out = address(component, INPUTS)

    def break_it() -> None:
        while len(_spool(out)) < 20:
            time.sleep(0.05)
        server.signal(signal.SIGSTOP)
        time.sleep(5)
        server.signal(signal.SIGCONT)
        time.sleep(1)
        server.kill()
        time.sleep(0.5)
        server.start()

    faults = threading.Thread(target=break_it)
    faults.start()
    execute(component, INPUTS, Origin(run_id="faults", run_name="otter", flow="pipeline"))
    faults.join()
    server.wait()
    assert set(shipping.sync()) <= {out}
    assert _points(out) == _spool(out) == [(step, 1 / step) for step in range(1, 161)]
    assert _run_in_mlflow(out).info.status == "FINISHED"
    times = [point["time"] for _, point in spool.read(out)]
    assert max(b - a for a, b in pairwise(times)) < 4, "a step waited"


def test_what_a_dead_server_missed_is_shipped_by_a_later_sync_and_only_once(monkeypatch, caplog):
    alive = settings().tracking_uri
    _use(DEAD, monkeypatch)
    component = Steps(name_of_test="sync")
    execute(component, INPUTS, Origin(run_id="sync", run_name="otter", flow="pipeline"))
    assert caplog.text.count("MLflow does not answer") == 1
    _use(alive, monkeypatch)
    out = address(component, INPUTS)
    assert list(shipping.sync()) == [out]
    assert _points(out) == _spool(out)
    run = _run_in_mlflow(out)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time < 60_000
    assert run.data.metrics["seconds"] >= 0
    assert client().get_run(run.data.tags["mlflow.parentRunId"]).info.status == "FINISHED"
    assert list(shipping.sync()) == []


def test_the_next_step_ships_what_an_earlier_one_left(monkeypatch):
    alive = settings().tracking_uri
    _use(DEAD, monkeypatch)
    first, second = Steps(name_of_test="earlier"), Steps(name_of_test="next", num_steps=4)
    execute(first, INPUTS)
    _use(alive, monkeypatch)
    execute(second, INPUTS)
    for component in (first, second):
        assert _points(address(component, INPUTS)) == _spool(address(component, INPUTS))


def test_a_step_at_work_is_left_alone_and_a_killed_one_is_closed_as_failed():
    component = Steps(name_of_test="killed")
    out = address(component, INPUTS)
    out.mkdir(parents=True)
    spool.append(out, 1, {"loss": 0.5})
    shipping.save(out, shipping.prepare(component, out, Origin(), None))
    with FileLock(out.parent / f".{out.name}.lock"):  # as `execute` has it
        assert list(shipping.sync()) == []
    assert list(shipping.sync()) == [out]
    assert _points(out) == [(1, 0.5)]
    assert _run_in_mlflow(out).info.status == "FAILED"


def test_a_resume_that_writes_the_same_points_again_duplicates_none():
    with pytest.raises(RuntimeError, match="broken"):
        execute(Resumed(), INPUTS)
    execute(Resumed(), INPUTS)
    out = address(Resumed(), INPUTS)
    assert _points(out) == _spool(out) == [(step, 1 / step) for step in range(1, 7)]


def test_a_run_that_somebody_removed_is_begun_again():
    component = Steps(name_of_test="removed")
    execute(component, INPUTS)
    out = address(component, INPUTS)
    client().delete_run(_run_in_mlflow(out).info.run_id)
    (out / "artifact.json").unlink()
    execute(component, INPUTS)
    assert _points(out) == _spool(out)


def test_a_long_run_is_thinned_evenly_and_keeps_its_last_point():
    component = Steps(name_of_test="long", num_steps=12_345)
    execute(component, INPUTS)
    steps = [step for step, _ in _points(address(component, INPUTS))]
    assert steps == [
        *range(1, 1001),
        *range(1010, 10_001, 10),
        *range(10_100, 12_301, 100),
        12_345,
    ]
