"""SFT: a base model and instructions -> a model that follows them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Instructions, TokenShards
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.examples.dialogues import Dialogues


class SFTInputs(Frozen):
    """What `SFT` reads."""

    model: Checkpoint
    """The model to start from."""
    instructions: Instructions
    """What is learned from, and what the loss is measured on."""
    shards: TokenShards
    """The pretraining text, for replay."""


class SFT(Component[SFTInputs, Checkpoint]):
    """Supervised fine-tuning on instructions, with the loss on the answers only.

    Prompts are rendered by the tokenizer's own chat template, the one every later stage uses.
    A batch is packed: several dialogues share a sequence and are hidden from each other, so that
    hardly any padding is computed, with the losses that each dialogue would have alone. A model
    that cannot hide them from each other gets a dialogue a sequence.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step saw.
    """

    version: ClassVar[str] = "3.1.0"

    training: Hyperparameters = Hyperparameters(
        num_steps=480, batch_size=64, micro_batch_size=32, learning_rate=0.005
    )
    """Steps, batch and learning rate. `batch_size` counts dialogues, the text for replay comes on
    top; `micro_batch_size`, and `examples` in the ledger, count the sequences they are packed into.
    """
    lora: LoRA | None = None
    """Train an adapter instead of all weights, and merge it."""
    sequence_length: int = Field(default=128, ge=8)
    """Tokens of such a sequence. A batch with a longer dialogue has sequences as long as that one:
    nothing is cut."""
    replay_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the examples that are pretraining text, against forgetting; on top of the batch."""
    replay_length: int = Field(default=64, ge=8)
    """Tokens of such an example."""

    def run(self, inputs: SFTInputs, out: Path) -> Checkpoint:
        """Fine-tune all weights, under Ray or in this process, and leave the model in `out`."""
        from components.lib.models.folders import describe

        num_examples = self.training.num_steps * self.training.batch_size
        train_on_workers(sft_worker, self, inputs, out, num_examples * self.sequence_length)
        return describe(out, self.replay_length)  # instructions are about as long


def sft_worker(payload: dict[str, Any]) -> None:
    """Fine-tune in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    from components.finetune.replay import WithReplay
    from components.lib.examples.dialogues import Dialogues
    from components.lib.examples.shards import Sequences
    from components.lib.models.folders import flops_per_token, load_model, load_tokenizer
    from components.lib.models.proof import hides_documents
    from components.lib.objectives.next_token import NextToken
    from components.lib.tasks.microtasks import read_microtasks
    from components.lib.training.fit import TrainSpec
    from components.lib.training.session import train_and_save

    component = SFT.model_validate(payload["component"])
    inputs = SFTInputs.model_validate(payload["inputs"])

    tokenizer = load_tokenizer(inputs.model.path)
    model = load_model(inputs.model.path)
    folder = inputs.instructions.path
    length = component.sequence_length
    packs = hides_documents(model)
    dialogues, held_out = (
        Dialogues(tokenizer, read_microtasks(folder / name), length, packs)
        for name in ("train.jsonl", "validation.jsonl")
    )
    text = Sequences(inputs.shards.path / "train", component.replay_length)
    task = TrainSpec(
        examples=WithReplay(dialogues, text, component.replay_share),
        objective=NextToken(),
        evaluate=lambda: {"validation_loss": _validation_loss(model, held_out)},
        flops_per_token=flops_per_token(model, component.replay_length),
    )
    beside, out = inputs.model.path, Path(payload["out"])
    train_and_save(model, beside, task, component.training, out, component.lora)


def _validation_loss(model: "PreTrainedModel", held_out: "Dialogues") -> float:
    """Return the mean nats of an answer's token, over at most 256 held-out instructions."""
    import numpy as np
    import torch

    from components.lib.objectives.next_token import NextToken

    batch = held_out.batch(np.arange(min(len(held_out), 256)))
    with torch.no_grad():
        nats = NextToken()(model, batch)["cross_entropy"].item()
    return nats / batch.num_targets()
