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


class FidelityReport(Artifact):
    """How well a smaller model stands for its original; `report/fidelity.json` has it all.

    Accuracy alone says little: decisions flip long before it falls.
    """

    model: str
    """Fingerprint of the smaller model."""
    bytes_on_disk: int
    """Size of its weights."""
    bits_per_byte: float
    """Of the smaller model, on held-out text."""
    original_bits_per_byte: float
    """Of the original, on the same text."""
    divergence: float
    """Mean nats of KL(original || smaller) of a next token, on the same text."""
    flipped: float
    """Share of places of that text where another token is the likeliest, 0 to 1."""
    margin_kept: float
    """Mean margin of decisions among choices, as a share of the original's; 1 keeps them all."""
    decisions_flipped: float
    """Share of decisions that fall otherwise than the original's, 0 to 1."""
    refusals_kept: float | None = None
    """Of prompts that the original declines, the share that is declined; None where it declines
    none."""
    tool_calls_kept: float | None = None
    """Of prompts that the original answers by calling a tool, the share where the same tools are
    called; None where it calls none."""
    coverage: float
    """Share of the weights of linear maps that are stored in 8 bits or fewer, or are zero."""
    decode_tokens_per_second: float
    """Greedy decoding at batch 1."""
    original_decode_tokens_per_second: float
    """The same of the original, measured in turns."""
    first_token_seconds: float
    """From a prompt to the first token of its answer."""
    original_first_token_seconds: float
    """The same of the original, measured in turns."""
    joules_per_token: float
    """An estimate: the processor seconds of a decoded token x the watts of a core."""
    original_joules_per_token: float
    """The same of the original."""

    @property
    def bits_per_byte_increase(self) -> float:
        """Bits per byte that are added, as a share of the original's."""
        return self.bits_per_byte / self.original_bits_per_byte - 1


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
