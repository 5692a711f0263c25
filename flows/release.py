"""Reports -> a registered model, or a clear no."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from components.core.artifacts.base import Frozen
from components.core.artifacts.models import Checkpoint, CompressedModel, Release
from components.core.artifacts.reports import BaselineReport, ProbeReport, Verdict
from components.release.gate import GateInputs
from components.release.register import RegisterInputs
from components.release.registry import is_champion, note, opponent
from dashboards.text.scorecard import summary
from flows.approval import Decision, decide
from flows.publish import publish, publish_lineage
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


def judge(
    recipe: Recipe, small: CompressedModel, reports: Reports
) -> tuple[ProbeReport | None, Verdict]:
    """Hold the candidate against the gate; return the champion's report and the verdict."""
    champion = opponent(recipe.release.model_name, small)
    measured = {name: getattr(reports, name) for name in Reports.model_fields}
    return champion, step(recipe.gate, GateInputs(**measured, champion=champion))


def asked(recipe: Recipe, small: CompressedModel, reports: Reports) -> Decision | State[Any] | None:
    """Return a person's yes, the state in which the run ends without one, or None: not asked.

    Only the outermost flow can wait for an answer. Nobody is asked about a model that the gate
    rejects, nor about the champion itself.
    """
    if not recipe.approval.ask or is_champion(recipe.release.model_name, small):
        return None
    _, verdict = judge(recipe, small, reports)
    if not verdict.passed:
        return None
    answer = decide(recipe.approval, summary(publish("SCHEDULED")))
    if answer is None:
        return _rejected(f"Not released: no answer in {recipe.approval.timeout_hours:g} hours.")
    if answer.decision == "reject":
        return _rejected(f"Not released: {answer.name} rejected it. {answer.comment}".strip())
    return answer


@flow
@preemptible
def release(
    recipe: Recipe, aligned: Checkpoint, small: CompressedModel, reports: Reports
) -> Release | State[Any]:
    """Hold the candidate against the gate and the champion; register it, or end as `Rejected`."""
    champion, verdict = judge(recipe, small, reports)
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
    released = step(recipe.release, candidate)
    publish_lineage(released)
    return released


def signed(released: Release, answer: Decision | None) -> Release:
    """Write who approved the release to the registered version, and return the release."""
    if answer is not None:
        tags = {"approved_by": answer.name, "approval_comment": answer.comment}
        note(released.name, released.registered_version, tags)
    return released
