"""SFT: a base model and instructions -> a model that follows them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts import Checkpoint, Frozen, RawData, TokenShards
from components.core.component import Component
from components.core.files import size_of
from components.core.settings import settings
from components.core.workers import train_on_workers
from components.lib.plan import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.instructions import Instructions


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

    version: ClassVar[str] = "1.1.0"

    training: Training
    """Steps, batch and learning rate; an example is one instruction with its answer."""
    replay_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the examples that are pretraining text, against forgetting; on top of the batch."""
    replay_length: int = Field(default=64, ge=8)
    """Tokens of such an example."""

    def run(self, inputs: SFTInputs, out: Path) -> Checkpoint:
        """Fine-tune all weights, under Ray or in this process, and leave the model in `out`."""
        from components.lib.models import load_model, num_parameters

        train_on_workers(sft_worker, self, inputs, out)
        return Checkpoint(
            path=out,
            num_parameters=num_parameters(load_model(out)),
            bytes_on_disk=size_of(out, "*.safetensors"),
        )


def sft_worker(payload: dict[str, Any]) -> None:
    """Fine-tune in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    import torch

    from components.finetune.replay import WithReplay
    from components.lib.checkpoint import remove
    from components.lib.device import keep_memory
    from components.lib.instructions import Instructions, read_microtasks
    from components.lib.models import flops_per_token, load_model, load_tokenizer, save_model
    from components.lib.shards import Sequences
    from components.lib.training import Group, fit

    component = SFT.model_validate(payload["component"])
    inputs = SFTInputs.model_validate(payload["inputs"])
    out = Path(payload["out"])
    torch.set_num_threads(settings().threads_per_worker)
    keep_memory()

    tokenizer = load_tokenizer(inputs.model.path)
    model = load_model(inputs.model.path)
    folder = inputs.data.path / "instructions"
    instructions = Instructions(tokenizer, read_microtasks(folder / "train.jsonl"))
    held_out = Instructions(tokenizer, read_microtasks(folder / "validation.jsonl"))
    text = Sequences(inputs.shards.path / "train", component.replay_length)
    fit(
        model,
        component.training,
        WithReplay(instructions, text, component.replay_share),
        out,
        evaluate=lambda: {"validation_loss": _validation_loss(model, held_out)},
        # instructions are about as long as the replayed text
        flops_per_token=flops_per_token(model, component.replay_length),
    )
    if Group.current().rank == 0:
        save_model(model, tokenizer, out)
        remove(out)


def _validation_loss(model: "PreTrainedModel", held_out: "Instructions") -> float:
    """Return the mean nats of an answer's token, over at most 256 held-out instructions."""
    import numpy as np
    import torch

    from components.lib.device import device
    from components.lib.training import IGNORED, summed_loss

    batch = held_out.batch(np.arange(min(len(held_out), 256)))
    ids, targets = (torch.from_numpy(part).to(device()) for part in batch)
    with torch.no_grad():
        nats = summed_loss(model, ids, targets).item()
    return nats / int((targets != IGNORED).sum())
