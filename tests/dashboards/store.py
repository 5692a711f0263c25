"""A store as the platform leaves it: its own code ships and publishes made-up numbers."""

import json
import math
import time
from pathlib import Path
from typing import Any

from components.align.dpo import DPO
from components.core.component import Component
from components.core.journal import Origin, Step, write_step
from components.core.machine import Machine
from components.core.record import REPORT, Record, write_record
from components.core.settings import settings
from components.core.tracking import shipping, spool
from components.core.tracking.client import client, experiment_id, parent_run
from components.data.card import Card
from components.evals.probe import Probe
from components.lib.training.hyperparameters import DialledHyperparameters
from components.pretrain.train import Train
from components.release.register import Register
from components.release.registry import register
from dashboards.text.report import ReleasedModel, Report, StageRow
from flows.publish import _log

REVISION = "d6aeb58f4a7f87909af121606855beaa.dir"
EVIL = "<img src=x onerror=alert(1)> ![x](http://127.0.0.1:9/x.png)"


def origin(name: str) -> Origin:
    """Return a pipeline's run of this name."""
    return Origin(run_id=f"id-{name}", run_name=name, flow="pipeline")


def ship(
    component: Component[Any, Any],
    of: Origin,
    fingerprint: str,
    artifact: dict[str, Any],
    points: list[dict[str, float]] | None = None,
    card: dict[str, Any] | None = None,
) -> str:
    """Leave the MLflow run of a step and return its id."""
    out = settings().artifacts / component.name / component.version / fingerprint
    out.mkdir(parents=True, exist_ok=True)
    for step, point in enumerate(points or [], start=1):
        spool.append(out, step, point)
    if card is not None:
        (out / REPORT).mkdir()
        (out / REPORT / "card.json").write_text(json.dumps(card), encoding="utf-8")
        (out / REPORT / "card.html").write_text("<h1>The card</h1>", encoding="utf-8")
    write_record(_record(component, out, artifact), out)
    mlflow = client()
    shipment = shipping.open_run(mlflow, shipping.prepare(component, out, of, REVISION))
    for sent in shipping.send_points(mlflow, out, shipment):
        shipment = sent
    ended = int(time.time() * 1000)
    shipping.close_run(mlflow, out, shipment.with_(status="FINISHED", ended=ended))
    return shipment.run_id or ""


def _record(component: Component[Any, Any], out: Path, artifact: dict[str, Any]) -> Record:
    return Record(
        component=component.name,
        version=component.version,
        fingerprint=out.name,
        config=component.model_dump(mode="json"),
        inputs={},
        artifact=artifact,
        files={},
        seed=None,
        seconds=1.0,
        packages={},
        git_revision=None,
        data_revision=REVISION,
        mlflow_run_id=None,
    )


def train(of: Origin, fingerprint: str, num_steps: int = 30, learning_rate: float = 0.01) -> str:
    """Leave a pretraining, whose loss falls from 6 nats."""
    points = [
        {
            "loss": 6 * math.exp(-step / 20),
            "optimizer.gradient_norm": 1 + 1 / step,
            "tokens": 512.0 * step,
            "tokens_per_second": 5000.0 + step,
            "memory_gigabytes": 0.5,
            "progress": step / num_steps,
            **({"validation_bits_per_byte": 4 - step / 20} if step % 10 == 0 else {}),
        }
        for step in range(1, num_steps + 1)
    ]
    training = DialledHyperparameters(num_steps=num_steps, learning_rate=learning_rate)
    component = Train(training=training, depth=2)
    return ship(component, of, fingerprint, {"bytes_on_disk": 4_000_000}, points)


def pipeline(
    name: str,
    base: str,
    beta: float = 0.1,
    version: int | None = None,
    machine: Machine | None = None,
) -> Report:
    """Leave the scorecard of a pipeline and the run of its alignment; `base` names the base."""
    of = origin(name)
    ship(DPO(beta=beta), of, f"dpo-{name}", {"bytes_on_disk": 4_000_000})
    rows = (
        _row("pretrain.train", base, 1.9, 0.0, 4_000_000),
        _row("align.dpo", f"dpo-{name}", 1.7, 0.4 + beta, 4_000_000),
        _row("compress.quantize", f"int8-{name}", 1.71, 0.39 + beta, 1_200_000, speed=6000.0),
    )
    released = None
    if version is not None:
        released = ReleasedModel(name="toy", version=version, alias="champion", path="x")
    report = Report(
        origin=of,
        data_revision=REVISION,
        baselines={"unigram": 3.4, "trigram": 1.6},
        stages=tuple(row.model_copy(update={"machine": machine}) for row in rows),
        rejected=() if version else ("accuracy: 0.5 against at most 0.2",),
        model=released,
    )
    parent_run(client(), experiment_id(client()), of)
    _log(report, "FINISHED" if version else "FAILED")
    return report


def _row(
    component: str,
    fingerprint: str,
    bits: float,
    accuracy: float,
    size: int,
    speed: float | None = None,
) -> StageRow:
    return StageRow(
        stage=component.split(".")[0],
        component=component,
        version="1.0.0",
        fingerprint=fingerprint,
        cached=False,
        seconds=12.5,
        bits_per_byte=bits,
        accuracy=accuracy,
        accuracy_interval=(max(0.0, accuracy - 0.05), accuracy + 0.05),
        num_parameters=1_000_000,
        bytes_on_disk=size,
        decode_tokens_per_second=speed,
    )


def release(folder: Path, of: Origin) -> None:
    """Register the model in `folder`, which is below the artifact root, as `toy`."""
    path = folder.relative_to(settings().artifacts).as_posix()
    tags = {"candidate": "x", "report": "", "opponent": "", "path": path}
    register("toy", folder, tags)
    ship(Register(model_name="toy"), of, folder.name, {})


def card() -> dict[str, Any]:
    """Return the content of a card whose documents would like to be markup."""
    dropped = {"too short": 30, "repeats itself": 10}
    rows = [
        {"step": "raw", "documents": 100, "bytes": None, "dropped": {}},
        {"step": "clean", "documents": 60, "bytes": 9_000, "dropped": dropped},
        {"step": "deduplicate", "documents": 55, "bytes": 8_000, "dropped": {"near": 5}},
    ]
    found = {"form": "re-wrapped", "planted": 20, "found": 19, "false_alarms": 1}
    text = {"id": EVIL, "reason": "", "text": EVIL}
    source = {"documents": 55, "bytes": 8_000, "words": 1_500, "licences": {EVIL: 55}}
    return {
        "revision": REVISION,
        "funnel": rows,
        "funnel_by_source": {"library": rows[:2]},
        "counts": {},
        "planted": {"deduplicate": [{**found, "recall_percent": 95.0, "precision_percent": 95.0}]},
        "splits": {
            split: {"documents": 50, "bytes": 8_000, "tokens": 2_000}
            for split in ("train", "validation", "test")
        },
        "statistics": {
            "by_source": {"library": source},
            "languages": {"en": 50, EVIL: 5},
            "domains": {EVIL: 3},
            "words": {"8-15": 5, "16-31": 50},
            "ngrams": {},
        },
        "kept": [text],
        "dropped": {"clean": [{**text, "reason": "too short"}]},
        "shards": {},
        "measures": {},
    }


def publish_card(of: Origin, fingerprint: str = "card") -> str:
    """Leave the run of a data card."""
    return ship(Card(), of, fingerprint, {"num_documents": 55}, card=card())


def ship_parent_without_scorecard(of: Origin) -> None:
    """Leave the MLflow run of a pipeline that did not come to its end."""
    parent_run(client(), experiment_id(client()), of)


def journal(of: Origin, base: str, is_cached: bool = False) -> Path:
    """Leave the journal of a run that trained and measured a model; return the model's folder."""
    score = {
        "model": base,
        "bits_per_byte": 1.9,
        "accuracy": 0.4,
        "accuracy_interval": {"low": 0.35, "high": 0.45},
        "accuracy_by_task": {},
    }
    trained = note(of, Train(depth=2), base, {"bytes_on_disk": 4_000_000}, is_cached)
    note(of, Probe(), f"probe-{base}", score, is_cached)
    return trained


def note(
    of: Origin,
    component: Component[Any, Any],
    fingerprint: str,
    artifact: dict[str, Any],
    is_cached: bool,
) -> Path:
    """Leave a step in a journal, and what it made unless it was there; return the folder."""
    out = settings().artifacts / component.name / component.version / fingerprint
    if not is_cached:
        out.mkdir(parents=True, exist_ok=True)
        (out / "made").write_bytes(b"0" * 2_000_000)
        write_record(_record(component, out, artifact), out)
    _write_step(of, component.name, out, is_cached)
    return out


def note_model(of: Origin, component: str, folder: Path) -> None:
    """Leave a step in a journal that made the model in `folder`."""
    _write_step(of, component, folder, is_cached=False)


def _write_step(of: Origin, component: str, folder: Path, is_cached: bool) -> None:
    step = Step(
        component=component,
        version="1.0.0",
        fingerprint=folder.name,
        cached=is_cached,
        seconds=12.5,
        path=folder,
        data_revision=REVISION,
    )
    write_step(of, step)
