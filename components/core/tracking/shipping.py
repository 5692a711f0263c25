"""What a step shows in MLflow, shipped after the work and never before it.

The record and the spool beside the files are the truth. `.mlflow.json` says what of them MLflow has
already, so whatever a slow, dead or restarted server missed is shipped later: when it answers, by
the next step, or by `bloomery sync`. A point that is sent twice counts once.
A metric keeps its first 1,000 points, then those whose step is a multiple of 10, of 100 above
10,000, and so on. The last point is always there.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.component import Component
from components.core.files import write_atomically
from components.core.journal import Origin
from components.core.record import RECORD, REPORT, git_revision, read_record
from components.core.servers.databases import hidden
from components.core.servers.endpoints import tracking_uri
from components.core.settings import settings
from components.core.tracking import spool
from components.core.tracking.client import (
    back_to,
    client,
    cut,
    experiment_id,
    flatten,
    is_active,
    log_dataset,
    log_numbers,
    parent_run,
    refusal,
    tag_not_finite,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_STATE = ".mlflow.json"
_MAX_PARAM_LENGTH, _MAX_TAG_LENGTH = 6000, 8000  # MLflow's limits
_BATCH = 500  # metrics of a call; MLflow takes 1,000
_NUM_KEPT = 1000  # points of a metric before it is thinned


class Sent(Frozen):
    """What MLflow has of the points of a step."""

    offset: int = 0
    """Bytes of the spool that were read."""
    last_step: dict[str, int] = Field(default_factory=dict)
    """Highest step of each metric."""
    num_points: dict[str, int] = Field(default_factory=dict)
    """Points of each metric."""


class Shipment(Frozen):
    """The MLflow run of one step, as far as it is known here."""

    id: str
    """Tag of the run, so that one whose creation was not confirmed is found again."""
    origin: Origin
    """The flow run."""
    name: str
    """Name of the run."""
    tags: dict[str, str]
    """What it is found by."""
    params: dict[str, str]
    """Config of the component."""
    started: int
    """Unix milliseconds."""
    run_id: str | None = None
    """The run, once it is open."""
    parent: str | None = None
    """The run of the flow."""
    sent: Sent = Sent()
    """The points that are there."""
    status: str | None = None
    """How the step ended; None while it works."""
    ended: int | None = None
    """Unix milliseconds."""
    is_closed: bool = False
    """Whether all of it is in MLflow."""

    def with_(self, **changes: Any) -> "Shipment":
        """Return this with some fields changed."""
        return self.model_copy(update=changes)


def prepare(
    component: Component[Any, Any], out: Path, origin: Origin, data_revision: str | None
) -> Shipment:
    """Return the shipment of a step that begins or resumes; nothing is sent yet."""
    if (found := load(out)) is not None:
        return found.with_(origin=origin, parent=None, status=None, ended=None, is_closed=False)
    started = int(time.time() * 1000)
    tags = {
        "mlflow.source.name": component.name,
        "mlflow.source.type": "JOB",
        "level": "component",
        "component": component.name,
        "stage": component.stage,
        "version": component.version,
        "fingerprint": out.name,
        "flow_run_id": origin.run_id,
        "data_revision": data_revision or "",
        "git_revision": git_revision() or "",
    }
    config = flatten(component.model_dump(mode="json"))
    return Shipment(
        id=f"{out.name}-{started}",
        origin=origin,
        name=f"{origin.run_name} {component.name}",
        tags={key: cut(value, _MAX_TAG_LENGTH, RECORD) for key, value in tags.items()},
        params={k: cut(str(v), _MAX_PARAM_LENGTH, RECORD) for k, v in config.items()},
        started=started,
    )


def load(out: Path) -> Shipment | None:
    """Return the shipment of the step in `out`, if it has begun one that can be read."""
    file = out / _STATE
    try:
        return Shipment.model_validate_json(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):  # one of an older version is shipped again
        return None


def save(out: Path, shipment: Shipment) -> None:
    """Note what is in MLflow, beside the files."""
    write_atomically(out / _STATE, shipment.model_dump_json(indent=2) + "\n")


def open_run(mlflow: "MlflowClient", shipment: Shipment) -> Shipment:
    """Open the run, open it again, or begin another if somebody removed it."""
    parent = parent_run(mlflow, shipment.origin)
    if shipment.run_id is not None and is_active(mlflow, shipment.run_id):
        mlflow.update_run(shipment.run_id, status="RUNNING")
        for key, value in back_to(shipment.origin).items():
            mlflow.set_tag(shipment.run_id, key, value)
        return shipment.with_(parent=parent)
    experiment = experiment_id(mlflow)
    query = f"tags.shipment = '{shipment.id}'"
    if found := mlflow.search_runs([experiment], query, max_results=1):
        run_id = found[0].info.run_id
    else:
        tags = {**shipment.tags, **back_to(shipment.origin)}
        tags |= {"mlflow.parentRunId": parent, "shipment": shipment.id}
        run = mlflow.create_run(experiment, shipment.started, tags, shipment.name)
        run_id = run.info.run_id
    for key, value in shipment.params.items():
        mlflow.log_param(run_id, key, value)
    if revision := shipment.tags["data_revision"]:
        log_dataset(mlflow, run_id, revision, shipment.tags["stage"])
    return shipment.with_(run_id=run_id, parent=parent, sent=Sent())


def send_points(mlflow: "MlflowClient", out: Path, shipment: Shipment) -> Iterator[Shipment]:
    """Send what the spool has beyond `shipment`; yields it after each call that was answered."""
    run_id = shipment.run_id
    assert run_id is not None
    for sent, batch in _batches(mlflow, out, shipment):
        finite = [metric for metric in batch if math.isfinite(metric.value)]
        mlflow.log_batch(run_id, metrics=finite)
        odd = {m.key: f"{m.value} at step {m.step}" for m in batch if not math.isfinite(m.value)}
        tag_not_finite(mlflow, run_id, odd)
        yield shipment.with_(sent=sent)


def close_run(mlflow: "MlflowClient", out: Path, shipment: Shipment) -> Shipment:
    """Send the last points and the numbers of the record, and end the run."""
    assert shipment.run_id is not None
    assert shipment.parent is not None
    assert shipment.status is not None
    last = {metric.key: metric for _, metric in _metrics(out, 0)}
    for metric in last.values():  # those that thinning took out
        if math.isfinite(metric.value):
            mlflow.log_batch(shipment.run_id, metrics=[metric])
    if shipment.status == "FINISHED":
        record = read_record(out)
        numbers = {"made": record.artifact, "seconds": record.seconds}  # sorted after the loss
        log_numbers(mlflow, shipment.run_id, numbers, shipment.ended or shipment.started)
        mlflow.log_text(shipment.run_id, record.model_dump_json(indent=2), RECORD)
        if (out / REPORT).is_dir():
            mlflow.log_artifacts(shipment.run_id, str(out / REPORT), REPORT)
    mlflow.set_terminated(shipment.run_id, status=shipment.status, end_time=shipment.ended)
    if mlflow.get_run(shipment.parent).info.status == "RUNNING":  # the next step opens it again
        mlflow.set_terminated(shipment.parent, status=shipment.status, end_time=shipment.ended)
    return shipment.with_(is_closed=True)


def unshipped() -> list[Path]:
    """Return the folders of steps of which MLflow lacks something, the oldest first."""
    found = {
        file.parent: load(file.parent) for file in settings().artifacts.glob(f"*/*/*/{_STATE}")
    }
    waiting = [(s.started, out) for out, s in found.items() if s is not None and not s.is_closed]
    return [out for _, out in sorted(waiting)]


def sync() -> Iterator[Path]:
    """Ship what earlier steps left, skipping those at work; yields each folder that is done.

    Raises:
        RuntimeError: MLflow does not answer, or refuses what it is sent.
    """
    from mlflow.exceptions import MlflowException

    mlflow = client()
    for out in unshipped():
        try:
            with FileLock(out.parent / f".{out.name}.lock", timeout=0):
                _ship_all(mlflow, out)
        except Timeout:
            continue
        except MlflowException as error:
            uri, why = hidden(tracking_uri()), refusal(error) or f"no answer: {hidden(str(error))}"
            raise RuntimeError(f"MLflow at {uri} did not take {out}: {why}") from error
        yield out


def _ship_all(mlflow: "MlflowClient", out: Path) -> None:
    shipment = load(out)
    if shipment is None or shipment.is_closed:  # another process was faster
        return
    if shipment.status is None:  # its process was killed
        status = "FINISHED" if (out / RECORD).exists() else "FAILED"
        shipment = shipment.with_(status=status, ended=int(time.time() * 1000))
    shipment = without_deleted(mlflow, shipment)
    if shipment.parent is None or shipment.run_id is None:
        save(out, shipment := open_run(mlflow, shipment))
    for latest in send_points(mlflow, out, shipment):
        save(out, shipment := latest)
    save(out, close_run(mlflow, out, shipment))


def without_deleted(mlflow: "MlflowClient", shipment: Shipment) -> Shipment:
    """Return this without the runs that somebody deleted: they are opened anew."""
    if shipment.run_id and not is_active(mlflow, shipment.run_id):
        shipment = shipment.with_(run_id=None, sent=Sent())
    is_gone = shipment.parent and not is_active(mlflow, shipment.parent)
    return shipment.with_(parent=None) if is_gone else shipment


def _batches(
    mlflow: "MlflowClient", out: Path, shipment: Shipment
) -> "Iterator[tuple[Sent, list[Metric]]]":
    """Yield what to send in one call, and what MLflow has after it."""
    choice = _Choice(mlflow, shipment)
    offset, batch = shipment.sent.offset, list["Metric"]()
    for after, metric in _metrics(out, offset):
        if after != offset and len(batch) >= _BATCH:  # all metrics of a point go together
            yield choice.sent(offset), batch
            batch = []
        offset = after
        if choice.takes(metric):
            batch.append(metric)
    if offset != shipment.sent.offset:
        yield choice.sent(offset), batch


class _Choice:
    """Which points MLflow is to have: thinned, and none that it has."""

    def __init__(self, mlflow: "MlflowClient", shipment: Shipment) -> None:
        """Begin after what was sent."""
        self._mlflow = mlflow
        self._run_id = shipment.run_id or ""
        self._last_step = dict(shipment.sent.last_step)
        self._num_points = dict(shipment.sent.num_points)
        self._known: dict[str, set[tuple[int, float]]] = {}

    def takes(self, metric: "Metric") -> bool:
        """Return whether to send it, and count it."""
        key, step, last = metric.key, metric.step, self._last_step.get(metric.key, -1)
        num_points = self._num_points.get(key, 0)
        is_kept = num_points < _NUM_KEPT or step % 10 ** max(1, len(str(step - 1)) - 3) == 0
        if not is_kept or (step <= last and self._has(metric)):
            return False
        self._last_step[key], self._num_points[key] = max(step, last), num_points + 1
        return True

    def sent(self, offset: int) -> Sent:
        """Return the account of what was taken so far."""
        return Sent(offset=offset, last_step={**self._last_step}, num_points={**self._num_points})

    def _has(self, metric: "Metric") -> bool:
        """Return whether MLflow has this value at this step: a resumed run writes it again."""
        if metric.key not in self._known:
            points = self._mlflow.get_metric_history(self._run_id, metric.key)
            self._known[metric.key] = {(point.step, point.value) for point in points}
        return (metric.step, metric.value) in self._known[metric.key]


def _metrics(out: Path, offset: int) -> "Iterator[tuple[int, Metric]]":
    """Yield (offset after its point, metric) for all of the spool from `offset` on."""
    from mlflow.entities import Metric

    for after, point in spool.read(out, offset):
        when = int(point["time"] * 1000)
        for key, value in point["metrics"].items():
            yield after, Metric(key, value, when, point["step"])
