"""Artifacts that say what was measured of a model, and what follows from it."""

from pydantic import Field

from components.core.artifacts.base import Artifact, Frozen


class Interval(Frozen):
    """A percentile interval of a statistic."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""


class HeldOutText(Frozen):
    """Which held-out text models are measured on; all that are compared have the same."""

    sequence_length: int = Field(default=256, ge=8)
    """Tokens of a sequence."""
    num_sequences: int = Field(default=256, ge=1)
    """Sequences, taken evenly from the test split."""


class ProbeReport(Artifact):
    """What the frozen probe found of one model; `report.json` has each item's outcome."""

    model: str
    """Fingerprint of the model that was measured."""
    bits_per_byte: float
    """On held-out documents: nats of all targets / (ln 2 x bytes of their text)."""
    accuracy: float
    """Share of held-out micro-tasks answered correctly, 0 to 1."""
    accuracy_interval: Interval
    """95 % bootstrap interval of the accuracy."""
    accuracy_by_task: dict[str, float]
    """Accuracy of each micro-task."""
    answer_nats: float | None = None
    """Mean nats of a token of the held-out dialogues' answers; None where there are none."""
    texts: dict[str, float] = Field(default_factory=dict)
    """Bits per byte on the evaluation sets that the recipe names: what may be forgotten."""


class Budget(Frozen):
    """What a stage may cost its model, against the model before it."""

    max_accuracy_loss: float | None = Field(default=None, ge=-1, le=1)
    """Accuracy that it may lose, absolute; without a number, any. Below 0 it must gain."""
    max_bits_per_byte_increase: float | None = Field(default=None, gt=-1)
    """Bits per byte that it may add, as a share of those before; without a number, any."""
    max_forgetting: float | None = Field(default=None, gt=-1)
    """Bits per byte that it may add on each of `evals.texts`, as a share of those of the run's
    first model; without a number, any."""


class StageReport(Frozen):
    """A line of the stage ledger: what the probe found after a stage, and what that may cost."""

    stage: str
    """Name of the stage, such as `finetune`."""
    report: ProbeReport
    """What the probe found of the model that it made."""
    budget: Budget = Budget()
    """What the stage may cost."""


class BaselineReport(Artifact):
    """Bits per byte of n-gram models on the split that the probe uses."""

    unigram: float
    """Unigram with add-one counts."""
    trigram: float
    """Interpolated Kneser-Ney trigram."""


class Verdict(Artifact):
    """What the release gate decided; `verdict.json` has every threshold and its margin."""

    passed: bool
    """Whether every threshold holds."""
    failures: tuple[str, ...]
    """A sentence for each threshold that does not hold, with the numbers."""


class SensitivityReport(Artifact):
    """What a model loses where one part of it is made smaller alone.

    `sensitivity.json` has the table, and `sensitivity.svg` a picture of it.
    """

    model: str
    """Fingerprint of the model that was measured."""
    treatment: str
    """What was done to the parts, such as `wanda`."""
    levels: tuple[float, ...]
    """How strongly it was done, such as the share of weights that went."""
    most_sensitive: str
    """The part that costs most."""
    least_sensitive: str
    """The part that costs least."""
