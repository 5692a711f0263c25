"""Gate: the stage ledger -> whether this model may be released, and by how much."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.reports import BaselineReport, ProbeReport, StageReport, Verdict
from components.core.component import Component
from components.core.files import write_json
from components.release.chat_checks import chat_checks
from components.release.check import Check
from components.release.endings import ending_checks
from components.release.shipped import Shipped


class GateInputs(Frozen):
    """What `Gate` compares."""

    baselines: BaselineReport
    """N-gram models on the probe's text."""
    ledger: tuple[StageReport, ...] = Field(min_length=1)
    """What the probe found after each stage, in order; the last is the candidate."""
    champion: ProbeReport | None
    """The released model that the candidate must beat, if there is one."""
    shipped: Shipped | None = None
    """What is shipped, to see that it asks and stops as it was taught; None leaves that out."""


class Gate(Component[GateInputs, Verdict]):
    """Hold every stage against its budget, and the candidate against the champion.

    What is shipped must read dialogues by the chat template that it was taught by, stop at the
    token that ended answers, and do so in time.

    A loss is positive, a gain negative. Writes `verdict.json` with every threshold, its value and
    whether it holds.
    """

    version: ClassVar[str] = "2.2.0"

    max_trigram_shortfall: float = 0.0
    """Bits per byte by which the first model may miss the trigram's."""
    min_improvement: float = Field(default=0.0, ge=0, le=1)
    """Accuracy by which the candidate must exceed the champion's, at least."""
    num_asked: int = Field(default=16, ge=0)
    """Held-out prompts that what is shipped answers, to see that its answers end."""
    max_unended: float = Field(default=0.5, ge=0, le=1)
    """Share of these answers that may go on and on, where the model has learnt the end."""

    def run(self, inputs: GateInputs, out: Path) -> Verdict:
        """Decide and write `verdict.json`."""
        checks = self.checks(inputs)
        failures = tuple(check.sentence() for check in checks if not check.holds)
        rows = [{**check.model_dump(), "holds": check.holds} for check in checks]
        write_json(out / "verdict.json", {"passed": not failures, "checks": rows})
        return Verdict(path=out, passed=not failures, failures=failures)

    def checks(self, inputs: GateInputs) -> list[Check]:
        """Return every threshold with what was measured."""
        first = inputs.ledger[0]
        above_trigram = Check(
            name=f"{first.stage}: bits per byte above the trigram's",
            value=first.report.bits_per_byte - inputs.baselines.trigram,
            threshold=self.max_trigram_shortfall,
        )
        costs = [check for pair in pairwise(inputs.ledger) for check in _costs(*pair)]
        costs += [check for line in inputs.ledger[1:] for check in _forgotten(first, line)]
        return [
            above_trigram,
            *costs,
            *self._against_champion(inputs.champion, inputs.ledger[-1].report),
            *self._of_shipped(inputs.shipped),
        ]

    def _of_shipped(self, shipped: Shipped | None) -> Iterator[Check]:
        if shipped is not None:
            yield from chat_checks(shipped)
            yield from ending_checks(shipped, self.num_asked, self.max_unended)

    def _against_champion(
        self, champion: ProbeReport | None, candidate: ProbeReport
    ) -> list[Check]:
        """Return what makes the candidate the better one; at equal accuracy the text decides."""
        if champion is None:
            return []
        if self.min_improvement == 0 and champion.accuracy == candidate.accuracy:
            name = "bits per byte above the champion's, at equal accuracy"
            value = candidate.bits_per_byte - champion.bits_per_byte
            return [Check(name=name, value=value, threshold=0.0)]
        name = "champion's accuracy over the candidate's"
        value = champion.accuracy - candidate.accuracy
        return [Check(name=name, value=value, threshold=0.0 - self.min_improvement)]  # not -0.0


def _costs(before: StageReport, after: StageReport) -> Iterator[Check]:
    """Yield what a stage cost, where its budget has a number for it."""
    budget = after.budget
    if budget.max_accuracy_loss is not None:
        yield Check(
            name=f"{after.stage}: accuracy lost",
            value=before.report.accuracy - after.report.accuracy,
            threshold=budget.max_accuracy_loss,
        )
    if budget.max_bits_per_byte_increase is not None:
        yield Check(
            name=f"{after.stage}: bits per byte added, as a share",
            value=after.report.bits_per_byte / before.report.bits_per_byte - 1,
            threshold=budget.max_bits_per_byte_increase,
        )


def _forgotten(first: StageReport, after: StageReport) -> Iterator[Check]:
    """Yield what was forgotten of each text since the first model, where a budget has a number."""
    if after.budget.max_forgetting is None:
        return
    for name, before in first.report.texts.items():
        yield Check(
            name=f"{after.stage}: bits per byte on {name} since {first.stage}, as a share",
            value=after.report.texts[name] / before - 1,
            threshold=after.budget.max_forgetting,
        )
