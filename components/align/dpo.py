"""DPO: a model and preference pairs -> a model that prefers what was chosen."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from components.align.reference import SCORES
from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Comparisons, PreferencePairs, ReferenceScores
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.core.tracking import spool
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import EpochHyperparameters

if TYPE_CHECKING:
    from torch import Tensor

    from components.lib.examples.pairs import EncodedPairs

logger = logging.getLogger(__name__)

_MAX_HELD_OUT = 64  # pairs that a validation measures


class DPOInputs(Frozen):
    """What `DPO` reads."""

    model: Checkpoint
    """The policy to start from."""
    pairs: PreferencePairs | Comparisons
    """Chosen and rejected answers."""
    reference: ReferenceScores | None
    """How likely the reference finds them; None for a loss that has no reference."""


class DPO(Component[DPOInputs, Checkpoint]):
    """Direct preference optimization (Rafailov et al. 2023) and its kin, on the one training loop.

    So it resumes exactly, on any number of processes. The loss is on answers alone, their end
    included. Pairs whose answers are the same, empty or too long with their prompt are counted and
    left out. Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`.
    """

    version: ClassVar[str] = "2.2.0"

    loss_type: Literal["sigmoid", "ipo", "hinge", "sigmoid_norm", "simpo"] = "sigmoid"
    """`sigmoid` is DPO itself, `ipo` Azar et al. 2023, `hinge` SLiC (Zhao et al. 2023),
    `sigmoid_norm` DPO by the token, `simpo` Meng et al. 2024, which has no reference."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the pull towards the reference; of `simpo`, the scale of rewards: 2 to 10."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of pairs whose label may be wrong: conservative DPO (Mitchell 2023)."""
    margin: float = Field(default=0.0, ge=0)
    """Of `simpo` alone: how far apart the rewards must be (its gamma)."""
    training: EpochHyperparameters = EpochHyperparameters()
    """Epochs, batch and learning rate. `batch_size` counts pairs, `micro_batch_size` sequences."""
    lora: LoRA | None = None
    """Train an adapter instead of all weights, and merge it."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of a sequence that pairs are packed into, both answers of a pair side by side. A batch
    with a longer pair has sequences as long as that: nothing is cut."""
    held_out_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the prompts that are not trained on: the loss and the ranking are measured there."""

    @property
    def has_reference(self) -> bool:
        """Whether the loss compares with a reference."""
        return self.loss_type != "simpo"

    @model_validator(mode="after")
    def _fits_together(self) -> "DPO":
        if self.margin and self.loss_type != "simpo":
            raise ValueError(
                f"margin={self.margin} is for loss_type='simpo', not {self.loss_type!r}. Leave "
                "margin out, or change loss_type."
            )
        if self.label_smoothing and self.loss_type in ("ipo", "hinge"):
            raise ValueError(
                f"label_smoothing={self.label_smoothing} is for losses with a sigmoid, not "
                f"{self.loss_type!r}. Leave it out, or change loss_type."
            )
        return self

    def run(self, inputs: DPOInputs, out: Path) -> Checkpoint:
        """Align all weights, under Ray or in this process, and leave the model in `out`.

        Raises:
            ValueError: no pair can be learnt from, or the loss needs a reference and has none.
        """
        from components.lib.models.folders import describe

        if self.has_reference and inputs.reference is None:
            raise ValueError(f"loss_type={self.loss_type!r} needs the scores of a reference.")
        num_pairs = inputs.pairs.num_pairs * self.training.num_epochs  # a sequence each, at most
        train_on_workers(dpo_worker, self, inputs, out, num_pairs * self.sequence_length)
        return describe(out, self.sequence_length)


def dpo_worker(payload: dict[str, Any]) -> None:
    """Align in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    import numpy as np

    from components.lib.examples.pairs import PairExamples, read_pairs
    from components.lib.models.config import context_length
    from components.lib.models.folders import flops_per_token, load_model, load_tokenizer
    from components.lib.models.proof import hides_documents
    from components.lib.objectives.preference import Preference, PreferenceOptions
    from components.lib.training.fit import TrainSpec
    from components.lib.training.session import train_and_save

    component = DPO.model_validate(payload["component"])
    inputs = DPOInputs.model_validate(payload["inputs"])
    out = Path(payload["out"])

    tokenizer = load_tokenizer(inputs.model.path)
    model = load_model(inputs.model.path)
    found = read_pairs(inputs.pairs.path, tokenizer, context_length(model.config.to_dict()))
    trained, held_out = found.sides(component.held_out_share)
    options = PreferenceOptions(component.beta, component.label_smoothing, component.margin)
    objective = Preference(
        _reference(component, inputs), component.loss_type, options, hides_documents(model)
    )
    length = component.sequence_length
    examples = PairExamples(trained, tokenizer, length)
    validated = PairExamples(held_out[:_MAX_HELD_OUT], tokenizer, length)
    task = TrainSpec(
        examples=examples,
        objective=objective,
        evaluate=lambda: (
            objective.validation(model, validated.batch(np.arange(len(validated))))
            if held_out
            else {}
        ),
        flops_per_token=flops_per_token(model, length),
    )
    _say_what_is_left_out(found, len(trained), out)
    train_and_save(
        model, inputs.model.path, task, component.training.of(len(trained)), out, component.lora
    )


def _reference(component: DPO, inputs: DPOInputs) -> "Tensor":
    """Return ln p of the reference for every line, (lines, 2): zeros where the loss has none."""
    import numpy as np
    import torch

    if inputs.reference is None or not component.has_reference:
        return torch.zeros(inputs.pairs.num_pairs, 2)
    return torch.from_numpy(np.load(inputs.reference.path / SCORES))


def _say_what_is_left_out(found: "EncodedPairs", num_trained: int, out: Path) -> None:
    """Say where the pairs went, in the metrics too: trained, held out, left out for a reason."""
    from components.lib.group import Group

    if Group.current().rank != 0 or (out / spool.SPOOL).exists():  # a resumed run has said it
        return
    if found.left_out:
        counts = ", ".join(f"{count} {reason}" for reason, count in found.reasons().items())
        logger.warning("%d pairs are left out: %s", len(found.left_out), counts)
    counted: dict[str, float] = {
        "pairs_trained": num_trained,
        "pairs_held_out": len(found.pairs) - num_trained,
        "pairs_left_out": len(found.left_out),
    }
    spool.append(out, 0, counted)
