"""Gate: the probe's reports -> whether this model may be released, and by how much."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.reports import BaselineReport, ProbeReport, Verdict
from components.core.component import Component
from components.core.files import write_json


class GateInputs(Frozen):
    """What `Gate` compares."""

    baselines: BaselineReport
    """N-gram models on the probe's text."""
    pretrained: ProbeReport
    """The base model."""
    finetuned: ProbeReport
    """The model before alignment."""
    aligned: ProbeReport
    """The model before compression."""
    compressed: ProbeReport
    """The candidate."""
    champion: ProbeReport | None
    """The released model that the candidate must beat, if there is one."""


class Check(Frozen):
    """One threshold."""

    name: str
    """What must hold."""
    value: float
    """What was measured."""
    threshold: float
    """The largest value that passes."""

    @property
    def holds(self) -> bool:
        """Whether the value is within the threshold."""
        return self.value <= self.threshold

    def sentence(self) -> str:
        """Say what holds or not, with the numbers."""
        verb = "holds" if self.holds else f"fails by {self.value - self.threshold:.4f}"
        return f"{self.name}: {self.value:.4f} against at most {self.threshold:.4f}, {verb}"


class Gate(Component[GateInputs, Verdict]):
    """Hold a candidate against stated budgets. A damage is positive, a gain negative.

    Writes `verdict.json` with every threshold, its value and whether it holds.
    """

    version: ClassVar[str] = "1.0.0"

    max_trigram_shortfall: float = 0.0
    """Bits per byte by which the base model may miss the trigram's."""
    max_compression_damage: float = Field(default=0.02, ge=0)
    """Bits per byte that compression may cost, relative to the aligned model's."""
    max_compression_accuracy_loss: float = Field(default=0.03, ge=0, le=1)
    """Accuracy that compression may cost, absolute."""
    max_alignment_accuracy_loss: float = Field(default=0.02, ge=0, le=1)
    """Accuracy that alignment may cost, absolute."""
    min_improvement: float = Field(default=0.0, ge=0, le=1)
    """Accuracy by which the candidate must exceed the champion's, at least."""

    def run(self, inputs: GateInputs, out: Path) -> Verdict:
        """Decide and write `verdict.json`."""
        checks = self.checks(inputs)
        failures = tuple(check.sentence() for check in checks if not check.holds)
        rows = [{**check.model_dump(), "holds": check.holds} for check in checks]
        write_json(out / "verdict.json", {"passed": not failures, "checks": rows})
        return Verdict(path=out, passed=not failures, failures=failures)

    def checks(self, inputs: GateInputs) -> list[Check]:
        """Return every threshold with what was measured."""
        aligned, compressed = inputs.aligned, inputs.compressed
        checks = [
            Check(
                name="base model's bits per byte above the trigram's",
                value=inputs.pretrained.bits_per_byte - inputs.baselines.trigram,
                threshold=self.max_trigram_shortfall,
            ),
            Check(
                name="accuracy lost by alignment",
                value=inputs.finetuned.accuracy - aligned.accuracy,
                threshold=self.max_alignment_accuracy_loss,
            ),
            Check(
                name="relative bits per byte added by compression",
                value=compressed.bits_per_byte / aligned.bits_per_byte - 1,
                threshold=self.max_compression_damage,
            ),
            Check(
                name="accuracy lost by compression",
                value=aligned.accuracy - compressed.accuracy,
                threshold=self.max_compression_accuracy_loss,
            ),
        ]
        return checks + self._against_champion(inputs.champion, compressed)

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
