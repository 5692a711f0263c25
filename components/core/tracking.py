"""MLflow as the view: runs, parameters and metrics, shipped behind the work and never ahead of it.

The record and the spool beside the files are the truth. A thread opens the MLflow run and follows
the spool, so a slow or dead tracking server costs a step nothing but a warning at its end.
"""

import json
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from components.core import metrics
from components.core.component import Component
from components.core.endpoints import tracking_uri
from components.core.files import write_json
from components.core.journal import Origin
from components.core.preemption import Preempted
from components.core.record import Record, git_revision
from components.core.settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_SHIP_EVERY_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0  # at the end of a step; a first database takes 10 s to make
_unanswered = threading.Event()  # set once tracking failed: later steps do not wait for it
_STATE = ".mlflow.json"  # run id and spool offset, so that a resumed step goes on in its run
_MAX_PARAM_LENGTH = 6000  # MLflow's limit

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


def _patience() -> float:
    return 1.0 if _unanswered.is_set() else _PATIENCE_SECONDS


def client() -> "MlflowClient":
    """Return a client of the tracking server or database in use."""
    import mlflow
    from mlflow import MlflowClient

    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)  # the registry looks a model up through the global address
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(mlflow: "MlflowClient") -> str:
    """Return the id of the experiment, made at the first call."""
    name = settings().experiment
    if (found := mlflow.get_experiment_by_name(name)) is not None:
        return found.experiment_id
    location = (settings().home / "mlflow" / "artifacts").resolve().as_uri()
    return mlflow.create_experiment(name, artifact_location=location)


def parent_run(mlflow: "MlflowClient", origin: Origin) -> str:
    """Return the id of the MLflow run of a whole flow run, made at the first call."""
    experiment = experiment_id(mlflow)
    query = f"tags.flow_run_id = '{origin.run_id}' and tags.level = 'flow'"
    if found := mlflow.search_runs([experiment], query, max_results=1):
        mlflow.update_run(found[0].info.run_id, status="RUNNING")
        return found[0].info.run_id
    tags = {"flow_run_id": origin.run_id, "flow": origin.flow, "level": "flow"}
    return mlflow.create_run(experiment, run_name=origin.run_name, tags=tags).info.run_id


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dicts by dotted path; lists are leaves."""
    if not isinstance(value, dict):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves


class Tracker:
    """Show the work of one component as an MLflow run, from beginning to end.

    Use as a context: leaving it ships what is left and closes the run as finished or failed.
    """

    def __init__(
        self, component: Component[Any, Any], out: Path, origin: Origin, data_revision: str | None
    ) -> None:
        """Prepare to show `component`, which writes its metrics to the spool of `out`."""
        self._component = component
        self._out = out
        self._origin = origin
        self._data_revision = data_revision
        self._record: Record | None = None
        self._status = "FINISHED"
        self._offset = 0
        self._run_id: str | None = None
        self._parent = ""
        self._done = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._ship, name="mlflow", daemon=True)

    def __enter__(self) -> Self:
        """Start shipping."""
        self._thread.start()
        return self

    def run_id(self) -> str | None:
        """Return the MLflow run, waiting for it to open; None if tracking is down."""
        self._opened.wait(_patience())
        return self._run_id

    def record(self, record: Record) -> None:
        """Take the record of the finished work: its numbers become metrics of the run."""
        self._record = record

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ship what is left; a dead tracking server is a warning, never a failed step."""
        if isinstance(error, KeyboardInterrupt | Preempted):
            self._status = "KILLED"
        elif error is not None:
            self._status = "FAILED"
        self._done.set()
        self._thread.join(_patience())
        if self._thread.is_alive():
            _unanswered.set()
            logger.warning("MLflow does not answer; the metrics are in %s", self._out)

    def _ship(self) -> None:
        try:
            mlflow = client()
            run_id = self._run_id = self._open(mlflow)
            self._opened.set()
            while not self._done.wait(_SHIP_EVERY_SECONDS):
                self._ship_spool(mlflow, run_id)
            self._close(mlflow, run_id)
            _unanswered.clear()
        except Exception as error:
            _unanswered.set()
            self._opened.set()
            logger.warning("MLflow failed (%s); the metrics are in %s", error, self._out)

    def _open(self, mlflow: "MlflowClient") -> str:
        state_file = self._out / _STATE
        self._parent = parent_run(mlflow, self._origin)
        if state_file.exists():
            state = json.loads(state_file.read_text("utf-8"))
            self._offset = state["offset"]
            mlflow.update_run(state["run_id"], status="RUNNING")
            return state["run_id"]
        tags = {
            "mlflow.parentRunId": self._parent,
            "mlflow.source.name": self._component.name,
            "mlflow.source.type": "JOB",
            "level": "component",
            "component": self._component.name,
            "stage": self._component.stage,
            "version": self._component.version,
            "fingerprint": self._out.name,
            "flow_run_id": self._origin.run_id,
            "data_revision": self._data_revision or "",
            "git_revision": git_revision() or "",
        }
        name = self._component.name
        run = mlflow.create_run(experiment_id(mlflow), run_name=name, tags=tags)
        config = flatten(self._component.model_dump(mode="json"))
        for key, value in config.items():
            mlflow.log_param(run.info.run_id, key, str(value)[:_MAX_PARAM_LENGTH])
        self._save_state(run.info.run_id)
        return run.info.run_id

    def _save_state(self, run_id: str) -> None:
        write_json(self._out / _STATE, {"run_id": run_id, "offset": self._offset})

    def _ship_spool(self, mlflow: "MlflowClient", run_id: str) -> None:
        from mlflow.entities import Metric

        batch: list[Metric] = []
        for offset, point in metrics.read(self._out, self._offset):
            when = int(point["time"] * 1000)
            batch += [Metric(k, v, when, point["step"]) for k, v in point["metrics"].items()]
            self._offset = offset
        for start in range(0, len(batch), 1000):  # MLflow takes at most 1,000 metrics a call
            mlflow.log_batch(run_id, metrics=batch[start : start + 1000])
        if batch:
            self._save_state(run_id)

    def _close(self, mlflow: "MlflowClient", run_id: str) -> None:
        self._ship_spool(mlflow, run_id)
        if self._record is not None:
            log_numbers(mlflow, run_id, {"seconds": self._record.seconds, **self._record.artifact})
            mlflow.log_text(run_id, self._record.model_dump_json(indent=2), "artifact.json")
        mlflow.set_terminated(run_id, status=self._status)
        mlflow.set_terminated(self._parent, status=self._status)  # the next step opens it again


def log_numbers(mlflow: "MlflowClient", run_id: str, values: dict[str, Any]) -> None:
    """Log every number in `values` as a metric of a run; the rest is left out."""
    from mlflow.entities import Metric

    leaves = {k: v for k, v in flatten(values).items() if type(v) in (int, float)}
    mlflow.log_batch(run_id, metrics=[Metric(k, float(v), 0, 0) for k, v in leaves.items()])
