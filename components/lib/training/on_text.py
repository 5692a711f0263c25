"""What every training on plain text is asked for: how it is cut into sequences, and its loss."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.settings import settings
from components.lib.examples.packing import Packing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.objectives.objective import LossOptions, PretrainingText
    from components.lib.objectives.objective import PretrainingObjective as Objective
    from components.lib.training.fit import TrainSpec


class OnText(Frozen):
    """Fields of a component that trains on token shards."""

    sequence_length: int = Field(default=256, ge=8)
    """Tokens a sequence."""
    packing: Packing = "stream"
    """`stream` cuts the one long stream of tokens wherever a sequence ends. `best_fit` cuts only
    documents that are longer than a sequence and packs all others whole (Ding et al. 2024)."""
    document_mask: bool = False
    """Let no document of a sequence see another: positions begin again in each, attention stays
    within, and the first token of a document is not predicted from the one before."""
    z_loss: float = Field(default=0.0, ge=0)
    """Weight of log^2 of a decoder's softmax normaliser; PaLM's is 1e-4. `bert` takes none."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a decoder's target that is spread over the vocabulary. `bert` takes none."""
    validation_sequences: int = Field(default=64, ge=1)
    """Sequences of the validation split that each validation measures."""

    def loss_options(self) -> "LossOptions":
        """Return what is asked of the loss."""
        from components.lib.objectives.objective import LossOptions

        return LossOptions(self.z_loss, self.label_smoothing)

    def text(self, shards: TokenShards, tokenizer: Path, seed: int) -> "PretrainingText":
        """Return the text of `shards`, which the tokenizer in a folder made, cut as is asked."""
        from components.lib.objectives.objective import PretrainingText

        return PretrainingText(
            shards=shards,
            tokenizer=tokenizer,
            sequence_length=self.sequence_length,
            packing=self.packing,
            document_mask=self.document_mask,
            seed=seed,
            num_held_out=self.validation_sequences,
        )

    def spec(
        self, objective: "Objective", text: "PretrainingText", model: "PreTrainedModel"
    ) -> "TrainSpec":
        """Return what `model` is trained on, what for, and how it is judged."""
        from components.lib.models.folders import flops_per_token
        from components.lib.training.fit import TrainSpec

        return TrainSpec(
            examples=objective.examples(text, "train"),
            objective=objective,
            evaluate=objective.evaluation(model, text),
            flops_per_token=flops_per_token(model, self.sequence_length, objective.predicted),
        )

    def require_a_batch(
        self, objective: "Objective", text: "PretrainingText", batch_size: int
    ) -> int:
        """Return the number of sequences there are to train on.

        Raises:
            ValueError: there is less than a batch of them, or a batch has less than one a worker.
        """
        if (workers := settings().num_workers) > batch_size:
            raise ValueError(
                f"A batch of {batch_size} has no example for each of the {workers} workers. "
                "Raise batch_size or lower BLOOMERY_NUM_WORKERS."
            )
        if (found := len(objective.examples(text, "train"))) < batch_size:
            raise ValueError(
                f"The train split has {found} sequences of {self.sequence_length} tokens, "
                f"fewer than one batch of {batch_size}. Add documents with `bloomery data add`, or "
                "lower batch_size or sequence_length."
            )
        return found

    def report_packing(self, shards: TokenShards, out: Path) -> None:
        """Say in `out` how full sequences are, if documents are packed or masked."""
        from components.lib.examples.packing import PACKING_REPORT, packing_report

        if self.packing != "stream" or self.document_mask:
            report = packing_report(shards.path / "train", self.sequence_length)
            (out / PACKING_REPORT).write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
