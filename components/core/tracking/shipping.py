"""What a step shows in MLflow, shipped after the work and never before it.

The record and the spool beside the files are the truth. `.mlflow.json` says what of them MLflow has
already, so whatever a slow, dead or restarted server missed is shipped later: when it answers, by
the next step, or by `bloomery sync`. A point that is sent twice counts once.
Long metrics are thinned, and the last point is always there.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from components.core.artifacts.base import Frozen
from components.core.component import Component
from components.core.files import write_atomically
from components.core.journal import Origin
from components.core.record import RECORD, REPORT, git_revision, read_record
from components.core.servers.databases import hidden
from components.core.servers.endpoints import tracking_uri
from components.core.settings import settings
from components.core.tracking.client import (
    back_to,
    client,
    cut,
    experiment_id,
    flatten,
    is_active,
    log_dataset,
    log_metrics,
    log_numbers,
    log_params,
    parent_run,
    refusal,
    tag_not_finite,
)
from components.core.tracking.thinning import Sent, batches, metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

_STATE = ".mlflow.json"
_MAX_PARAM_LENGTH, _MAX_TAG_LENGTH = 6000, 8000  # MLflow's limits


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
    experiment: str | None = None
    """The experiment that it is in."""
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
    experiment = experiment_id(mlflow)
    parent = parent_run(mlflow, experiment, shipment.origin)
    if shipment.run_id is not None and is_active(mlflow, shipment.run_id):
        mlflow.update_run(shipment.run_id, status="RUNNING")
        for key, value in back_to(shipment.origin).items():
            mlflow.set_tag(shipment.run_id, key, value)
        return shipment.with_(parent=parent)
    query = f"tags.shipment = '{shipment.id}'"
    if found := mlflow.search_runs([experiment], query, max_results=1):
        run_id = found[0].info.run_id
    else:
        tags = {**shipment.tags, **back_to(shipment.origin)}
        tags |= {"mlflow.parentRunId": parent, "shipment": shipment.id}
        run = mlflow.create_run(experiment, shipment.started, tags, shipment.name)
        run_id = run.info.run_id
    log_params(mlflow, run_id, shipment.params)
    if revision := shipment.tags["data_revision"]:
        log_dataset(mlflow, run_id, revision, shipment.tags["stage"])
    return shipment.with_(run_id=run_id, experiment=experiment, parent=parent, sent=Sent())


def send_points(mlflow: "MlflowClient", out: Path, shipment: Shipment) -> Iterator[Shipment]:
    """Send what the spool has beyond `shipment`; yields it after each call that was answered."""
    run_id = shipment.run_id
    assert run_id is not None
    for sent, batch in batches(mlflow, out, shipment.run_id, shipment.sent):
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
    last = {metric.key: metric for _, metric in metrics(out, 0)}
    log_metrics(mlflow, shipment.run_id, [*last.values()])  # those that thinning took out
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
