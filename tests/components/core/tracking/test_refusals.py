"""MLflow's refusals are answers: told at once and as they are, and mended where that is ours."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import address, execute
from components.core.settings import settings
from components.core.tracking import shipping, spool
from components.core.tracking.client import client, experiment_id, refusal

pytest.importorskip("mlflow")

INPUTS = DataRevision(revision="1.dir")


class Steps(Component[DataRevision, Artifact]):
    """Writes three points; in the middle somebody may delete what it writes to."""

    version: ClassVar[str] = "1.0.0"
    name_of_test: str
    deletes: str = ""

    def run(self, inputs: DataRevision, out: Path) -> Artifact:
        spool.rewind(out, 0)
        spool.append(out, 1, {"loss": 1.0})
        if self.deletes:
            shipment = _until_open(out)
            mlflow = client()
            if self.deletes == "experiment":
                mlflow.delete_experiment(experiment_id(mlflow))
            else:
                mlflow.delete_run(getattr(shipment, self.deletes))
        for step in (2, 3):
            spool.append(out, step, {"loss": 1 / step})
        return Artifact(path=out)


def _until_open(out: Path) -> shipping.Shipment:
    deadline = time.monotonic() + 60
    while (found := shipping.load(out)) is None or found.run_id is None or found.parent is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def _points(out: Path) -> list[tuple[int, float]]:
    shipment = shipping.load(out)
    assert shipment is not None
    assert shipment.run_id is not None
    found = client().get_run(shipment.run_id)
    assert found.info.lifecycle_stage == "active"
    assert found.info.status == "FINISHED"
    points = client().get_metric_history(shipment.run_id, "loss")
    return sorted((point.step, point.value) for point in points)


def test_a_deleted_experiment_is_restored_and_the_step_goes_there(caplog) -> None:
    mlflow = client()
    mlflow.delete_experiment(known := experiment_id(mlflow))
    execute(component := Steps(name_of_test="deleted before"), INPUTS)
    assert mlflow.get_experiment(known).lifecycle_stage == "active"
    assert len(_points(address(component, INPUTS))) == 3
    assert caplog.text.count("was deleted in MLflow and is restored") == 1
    assert "does not answer" not in caplog.text


@pytest.mark.parametrize("what", ["experiment", "run_id", "parent"])
def test_what_somebody_deletes_under_a_step_is_there_again_at_its_end(what: str, caplog) -> None:
    execute(component := Steps(name_of_test="deleted under it", deletes=what), INPUTS)
    assert len(_points(address(component, INPUTS))) == 3
    assert "does not answer" not in caplog.text


class _Refusing(http.server.BaseHTTPRequestHandler):
    """Says no to everything, as a server does whose user may not write."""

    def do_GET(self) -> None:
        body = b'{"error_code": "PERMISSION_DENIED", "message": "Not yours."}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", url)
    settings.cache_clear()
    yield url
    server.shutdown()


def test_a_server_that_says_no_is_quoted_within_seconds(refusing: str, caplog) -> None:
    start = time.monotonic()
    execute(component := Steps(name_of_test="refused"), INPUTS)
    assert time.monotonic() - start < 30, "60 s are for one that is silent"
    assert f"MLflow at {refusing} refuses: " in caplog.text
    assert "Not yours" in caplog.text
    assert "HTTP 403" in caplog.text
    assert "MLFLOW_TRACKING_USERNAME" in caplog.text
    assert "does not answer" not in caplog.text
    assert [step for step, _ in _spooled(address(component, INPUTS))] == [1, 2, 3]
    with pytest.raises(RuntimeError, match=r"did not take .*Not yours \(HTTP 403\)"):
        list(shipping.sync())


def _spooled(out: Path) -> list[tuple[int, float]]:
    return [(point["step"], point["metrics"]["loss"]) for _, point in spool.read(out)]


def test_silence_and_a_fault_of_the_server_are_no_refusals() -> None:
    from mlflow.exceptions import MlflowException, RestException

    assert refusal(ConnectionError("refused")) is None
    assert refusal(MlflowException("Max retries exceeded")) is None
    assert refusal(RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "x"})) is None
    assert refusal(RestException({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "x"})) is None
    gone = RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No run 7."})
    assert refusal(gone) == "RESOURCE_DOES_NOT_EXIST: No run 7 (HTTP 404)."
