"""What a model is worth: the same probe after every stage, and the baselines to beat."""

from pathlib import Path

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Instructions
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import (
    BaselineReport,
    HeldOutText,
    ProbeReport,
    StageReport,
)
from components.evals.baselines import BaselineInputs, Baselines
from components.evals.probe import Probe, ProbeInputs
from flows.stage import Prepared, Stage
from flows.step import step, subflow

MEASURED = (Checkpoint, CompressedModel)
"""Classes of models that the probe can measure: those that continue text."""


class Evals(Frozen):
    """What is measured after every stage."""

    num_sequences: int = Field(default=256, ge=1)
    """Sequences of held-out text, as long as those of the training."""
    probe: Probe = Probe()
    """Bits per byte and micro-tasks."""
    baselines: Baselines = Baselines()
    """N-gram models on the same text."""

    def held_out(self, sequence_length: int) -> HeldOutText:
        """Return the text that models are measured on."""
        return HeldOutText(sequence_length=sequence_length, num_sequences=self.num_sequences)


def baselines(evals: Evals, prepared: Prepared, sequence_length: int) -> BaselineReport:
    """Measure the n-gram models on the probe's text."""
    inputs = BaselineInputs(shards=prepared.shards, held_out=evals.held_out(sequence_length))
    return step(evals.baselines, inputs)


def measured(
    evals: Evals,
    prepared: Prepared,
    sequence_length: int,
    stage: Stage,
    model: Checkpoint | CompressedModel,
    dialogues: Instructions | None = None,
) -> StageReport:
    """Probe what a stage made: a line of the stage ledger."""

    def probe() -> ProbeReport:
        inputs = ProbeInputs(
            model=model,
            shards=prepared.shards,
            evaluation=prepared.evaluation,
            held_out=evals.held_out(sequence_length),
            instructions=dialogues,
        )
        return step(evals.probe, inputs)

    name = Path(model.path).parent.parent.name
    report = subflow(probe, "evals", f"probe of {name}")()
    return StageReport(stage=stage.name, report=report, budget=stage.budget)
