"""The scorecard of a flow run, put together from its journal and the records beside the files."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from components.core.artifacts.base import Frozen
from components.core.journal import Origin, Run, Step, read_steps, revision_of_run
from components.core.machine import Machine
from components.core.record import Record, read_record
from components.core.tracking import spool

_PROBE = "evals.probe"
_ADOPT = "pretrain.existing"
_BASELINES = "evals.baselines"
_REGISTER = "release.register"
_MEASURED = (
    "num_parameters",
    "num_active_parameters",
    "flops_per_token",
    "bytes_on_disk",
    "decode_tokens_per_second",
)


class StageRow(Frozen):
    """One step of the run, with what is known of the model it made."""

    stage: str
    """Folder of the component."""
    component: str
    """Name of the component."""
    version: str
    """Its version."""
    fingerprint: str
    """Identity of what it made."""
    cached: bool
    """Whether that was there already."""
    seconds: float
    """Wall time that making it took, now or then."""
    model: str | None = None
    """For a probe: fingerprint of the model it measured."""
    bits_per_byte: float | None = None
    """On held-out text."""
    accuracy: float | None = None
    """On held-out micro-tasks, 0 to 1."""
    accuracy_interval: tuple[float, float] | None = None
    """95 % bootstrap interval."""
    accuracy_by_task: dict[str, float] | None = None
    """Accuracy of each micro-task."""
    answer_nats: float | None = None
    """Mean nats of a token of the held-out dialogues' answers."""
    texts: dict[str, float] | None = None
    """Bits per byte on evaluation sets, by name."""
    num_parameters: int | None = None
    """Weights of the model."""
    num_active_parameters: int | None = None
    """Those that compute a token."""
    flops_per_token: float | None = None
    """Of training it, forward and backward."""
    training: dict[str, float] | None = None
    """What its training logged last, by the names of the metrics."""
    bytes_on_disk: int | None = None
    """Size of the weights."""
    decode_tokens_per_second: float | None = None
    """Greedy, batch 1."""
    decode_speedup: float | None = None
    """Ratio to the model it was made from, run by transformers in turns with it."""
    base: dict[str, Any] | None = None
    """Of a model that was taken in: what is known of it, as its `base.json` says."""
    machine: Machine | None = None
    """What it was made on; None for what was made before this was recorded."""

    @property
    def label(self) -> str:
        """What metrics of this row are called: the component, and for a probe its model too."""
        return self.component if self.model is None else f"{self.component}.{self.model}"


class ReleasedModel(Frozen):
    """What a run released."""

    name: str
    """Registered model."""
    version: int
    """Its version."""
    alias: str
    """The alias that was moved to it."""
    path: str
    """Folder in Hugging Face layout."""


class Report(Frozen):
    """The scorecard of one flow run."""

    origin: Origin
    """The flow run."""
    started: datetime | None = None
    """When it took its first step, UTC; None in a report that was kept before this was noted."""
    data_revision: str
    """DVC revision of the raw data."""
    baselines: dict[str, float]
    """Bits per byte of `unigram` and `trigram`."""
    stages: tuple[StageRow, ...]
    """The steps, in order."""
    rejected: tuple[str, ...]
    """Thresholds of the gate that did not hold; empty if it passed or was not reached."""
    model: ReleasedModel | None
    """What was released, if anything was."""


def report_of(folder: Path, run: Run) -> Report:
    """Put together the scorecard of the run whose journal is in `folder`."""
    steps = [(step, read_record(step.path)) for step in read_steps(folder)]
    probes = {r.artifact["model"]: r.artifact for s, r in steps if s.component == _PROBE}
    found = {step.component: record.artifact for step, record in steps}
    baselines = found.get(_BASELINES, {})
    made = next((record.data_revision for _, record in steps if record.data_revision), "")
    return Report(
        origin=run.origin,
        started=run.started,
        data_revision=revision_of_run(run.origin) or made,
        baselines={name: baselines[name] for name in ("unigram", "trigram") if name in baselines},
        stages=tuple(_row(step, record, probes) for step, record in steps),
        rejected=tuple(found.get("release.gate", {}).get("failures", ())),
        model=_released(steps),
    )


def _row(step: Step, record: Record, probes: dict[str, dict[str, Any]]) -> StageRow:
    made = record.artifact
    probe = made if step.component == _PROBE else probes.get(step.fingerprint, {})
    interval = probe.get("accuracy_interval")
    return StageRow(
        stage=step.component.split(".")[0],
        component=step.component,
        version=step.version,
        fingerprint=step.fingerprint,
        cached=step.cached,
        seconds=step.seconds,
        model=made["model"] if step.component == _PROBE else None,
        bits_per_byte=probe.get("bits_per_byte"),
        accuracy=probe.get("accuracy"),
        accuracy_interval=(interval["low"], interval["high"]) if interval else None,
        accuracy_by_task=probe.get("accuracy_by_task"),
        answer_nats=probe.get("answer_nats"),
        texts=probe.get("texts"),
        decode_speedup=_speedup(made),
        machine=record.machine,
        base=_base(step.path) if step.component == _ADOPT else None,
        training=_last_metrics(step.path) if "flops_per_token" in made else None,
        **{name: made[name] for name in _MEASURED if name in made},
    )


def _base(folder: Path) -> dict[str, Any] | None:
    file = folder / "base.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def _last_metrics(folder: Path) -> dict[str, float]:
    """Return the last value of every metric in the spool of `folder`."""
    last: dict[str, float] = {}
    for _, point in spool.read(folder):
        last |= point["metrics"]
    return last


def _speedup(made: dict[str, Any]) -> float | None:
    before = made.get("original_decode_tokens_per_second")
    return made["decode_tokens_per_second"] / before if before else None


def _released(steps: list[tuple[Step, Record]]) -> ReleasedModel | None:
    for step, record in steps:
        if step.component == _REGISTER:
            made = record.artifact
            return ReleasedModel(
                name=made["name"],
                version=made["registered_version"],
                alias=made["alias"],
                path=str(step.path),
            )
    return None
