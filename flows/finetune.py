"""A base model becomes one that follows instructions."""

from components.core.artifacts.models import Checkpoint
from components.finetune.sft import SFT, SFTInputs
from flows.stage import Prepared, Stage
from flows.step import step


class Supervised(Stage):
    """Supervised fine-tuning of all weights on dialogues."""

    sft: SFT = SFT()
    """The training."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Fine-tune `model` on `prepared.instructions`, with text for replay."""
        inputs = SFTInputs(model=model, instructions=prepared.instructions, shards=prepared.shards)
        return step(self.sft, inputs)
