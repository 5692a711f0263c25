"""SFT: a base model and instructions -> a model that follows them."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts import Checkpoint, Frozen, RawData, TokenShards
from components.core.component import Component
from components.core.files import size_of
from components.core.settings import settings
from components.lib.plan import Training


class SFTInputs(Frozen):
    """What `SFT` reads."""

    model: Checkpoint
    """The model to start from."""
    data: RawData
    """Micro-tasks in `instructions/train.jsonl` and `instructions/validation.jsonl`."""
    shards: TokenShards
    """The pretraining text, for replay."""


class SFT(Component[SFTInputs, Checkpoint]):
    """Supervised fine-tuning on instructions, with the loss on the answers only.

    Prompts are rendered by the tokenizer's own chat template, the one every later stage uses.
    Writes a model and tokenizer in Hugging Face layout.
    """

    version: ClassVar[str] = "1.0.0"

    training: Training
    """Steps, batch and learning rate; an example is one instruction with its answer."""
    replay_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the examples that are pretraining text, against forgetting; on top of the batch."""
    replay_length: int = Field(default=64, ge=8)
    """Tokens of such an example."""

    def run(self, inputs: SFTInputs, out: Path) -> Checkpoint:
        """Fine-tune all weights and leave the model in `out`."""
        import torch

        from components.finetune.replay import WithReplay
        from components.lib.checkpoint import remove
        from components.lib.device import device
        from components.lib.instructions import Instructions, read_microtasks
        from components.lib.models import (
            flops_per_token,
            load_model,
            load_tokenizer,
            num_parameters,
            save_model,
        )
        from components.lib.shards import Sequences
        from components.lib.training import IGNORED, fit, summed_loss

        torch.set_num_threads(settings().num_threads)
        tokenizer = load_tokenizer(inputs.model.path)
        model = load_model(inputs.model.path)
        folder = inputs.data.path / "instructions"
        instructions = Instructions(tokenizer, read_microtasks(folder / "train.jsonl"))
        text = Sequences(inputs.shards.path / "train", self.replay_length)
        examples = WithReplay(instructions, text, self.replay_share)
        held_out = Instructions(tokenizer, read_microtasks(folder / "validation.jsonl"))

        def validate() -> dict[str, float]:
            import numpy as np

            batch = held_out.batch(np.arange(min(len(held_out), 256)))
            ids, targets = (torch.from_numpy(part).to(device()) for part in batch)
            with torch.no_grad():
                nats = summed_loss(model, ids, targets).item()
            return {"validation_loss": nats / int((targets != IGNORED).sum())}

        flops = flops_per_token(model, self.replay_length)  # instructions are about as long
        fit(model, self.training, examples, out, validate, flops)
        save_model(model, tokenizer, out)
        remove(out)
        return Checkpoint(
            path=out,
            num_parameters=num_parameters(model),
            bytes_on_disk=size_of(out, "*.safetensors"),
        )
