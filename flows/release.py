"""The stage ledger -> a registered model, or a clear no."""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Failed

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Comparisons, DataCard, Dialogues, EvaluationSets
from components.core.artifacts.models import Checkpoint, CompressedModel, Release
from components.core.artifacts.reports import BaselineReport, ProbeReport, StageReport, Verdict
from components.release.gate import Gate, GateInputs
from components.release.model_card import Facts
from components.release.opponent import is_champion, opponent
from components.release.register import Register, RegisterInputs
from components.release.registry import note
from components.release.shipped import Shipped
from dashboards.text.decision import decision
from flows.approval import Approval, Decision, decide
from flows.contenders import compared
from flows.publish import describe_release, publish_waiting
from flows.served import NotMade, is_serving
from flows.step import step

_REJECTED = "Rejected"


class ReleaseSteps(Frozen):
    """What a release must hold, who is asked, and where it goes."""

    gate: Gate = Gate()
    """What the candidate must hold, beside the budgets of the stages."""
    approval: Approval = Approval()
    """Whether a person is asked before it is released."""
    registration: Register = Register()
    """Released model."""


class Candidate(Frozen):
    """What may be released, with all that was measured on the way."""

    model: Checkpoint
    """The last model that transformers loads."""
    compressed: CompressedModel | None
    """Its export, if the recipe compresses."""
    baselines: BaselineReport
    """What it must beat."""
    ledger: tuple[StageReport, ...]
    """What the probe found after each stage."""
    data: DataCard
    """What it was trained on."""
    sets: tuple[Dialogues | Comparisons, ...] = ()
    """The named sets that it was fine-tuned on and aligned by, as they were prepared."""

    base: Checkpoint
    """The first model of the run: dialogues were learnt by its chat template."""
    evaluation: EvaluationSets
    """Held-out micro-tasks, which it is asked."""

    def told(self) -> dict[str, Any]:
        """Return what its card says of it."""
        return {name: value for name, value in self if name not in ("base", "evaluation")}

    def shipped(self) -> Shipped:
        """Return what is shipped, with what it is held against."""
        return Shipped(
            base=self.base,
            model=self.model,
            compressed=self.compressed,
            evaluation=self.evaluation,
            sets=self.sets,
        )

    @property
    def measured(self) -> Checkpoint | CompressedModel:
        """The model that the last line of the ledger is about."""
        return self.compressed or self.model


def release(steps: ReleaseSteps, candidate: Candidate) -> Release | State[Any]:
    """Hold the candidate against the gate and the champion, ask, register; or end as `Rejected`."""
    champion, verdict = _judge(steps, candidate)
    if not verdict.passed:
        return _rejected(f"Not released. {'. '.join(verdict.failures)}.")
    answer = _asked(steps, candidate, champion)
    if isinstance(answer, State):
        return answer
    made = step(
        steps.registration, RegisterInputs(verdict=verdict, champion=champion, **candidate.told())
    )
    describe_release(made, Facts(name=made.name, **candidate.told()))
    return _signed(made, answer)


def is_rejected(outcome: object) -> bool:
    """Return whether a release ended with a no."""
    return isinstance(outcome, State)


def _judge(steps: ReleaseSteps, candidate: Candidate) -> tuple[ProbeReport | None, Verdict]:
    """Return the champion's report and the verdict."""
    champion = opponent(steps.registration.model_name, candidate.measured)
    inputs = GateInputs(
        baselines=candidate.baselines,
        ledger=candidate.ledger,
        champion=champion,
        shipped=candidate.shipped(),
    )
    return champion, step(steps.gate, inputs)


def _asked(
    steps: ReleaseSteps, candidate: Candidate, champion: ProbeReport | None
) -> Decision | State[Any] | None:
    """Return a person's yes, the state in which the run ends without one, or None: not asked.

    Nobody is asked about the champion itself.
    """
    name = steps.registration.model_name
    if not steps.approval.ask or is_champion(name, candidate.measured):
        return None
    if is_serving():
        raise NotMade("approval")
    comparison = compared(name, candidate.measured, candidate.ledger[-1].report, champion)
    answer = decide(
        steps.approval, f"Release this model as {name}?", decision(*comparison, publish_waiting())
    )
    if answer is None:
        return _rejected(f"Not released: no answer in {steps.approval.timeout_hours:g} hours.")
    if answer.decision == "reject":
        return _rejected(f"Not released: {answer.name} rejected it. {answer.comment}".strip())
    return answer


def _rejected(message: str) -> State[Any]:
    return Failed(name=_REJECTED, message=message)


def _signed(released: Release, answer: Decision | None) -> Release:
    """Write who approved the release to the registered version, and return the release."""
    if answer is not None:
        tags = {"approved_by": answer.name, "approval_comment": answer.comment}
        note(released.name, released.registered_version, tags)
    return released
