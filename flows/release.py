"""Reports -> a registered model, or a clear no."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from components.core.artifacts import (
    BaselineReport,
    Checkpoint,
    CompressedModel,
    Frozen,
    ProbeReport,
    Release,
)
from components.release.gate import GateInputs
from components.release.register import RegisterInputs
from components.release.registry import opponent
from flows.recipes import Recipe
from flows.step import preemptible, step

_REJECTED = "Rejected"


class Reports(Frozen):
    """What was measured along the way."""

    baselines: BaselineReport
    """N-gram models."""
    pretrained: ProbeReport
    """After pretraining."""
    finetuned: ProbeReport
    """After fine-tuning."""
    aligned: ProbeReport
    """After alignment."""
    compressed: ProbeReport
    """After compression."""


def rejection(outcome: State[Any]) -> State[Any] | None:
    """Return the state in which a flow ends that got this `outcome`, if the gate said no.

    A state that is passed on as it is loses its name: Prefect takes it for a list of states.
    """
    return _rejected(outcome.message or "") if outcome.name == _REJECTED else None


def _rejected(message: str) -> State[Any]:
    return Failed(name=_REJECTED, message=message)


@flow
@preemptible
def release(
    recipe: Recipe, aligned: Checkpoint, small: CompressedModel, reports: Reports
) -> Release | State[Any]:
    """Hold the candidate against the gate and the champion; register it, or end as `Rejected`."""
    champion = opponent(recipe.release.model_name, small)
    measured = {name: getattr(reports, name) for name in Reports.model_fields}
    verdict = step(recipe.gate, GateInputs(**measured, champion=champion))
    if not verdict.passed:
        return _rejected(f"Not released. {'. '.join(verdict.failures)}.")
    candidate = RegisterInputs(
        verdict=verdict,
        model=aligned,
        compressed=small,
        aligned_report=reports.aligned,
        compressed_report=reports.compressed,
        champion=champion,
    )
    return step(recipe.release, candidate)
