"""Train: token shards -> a Llama-type decoder that predicts the next token."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts import Checkpoint, Frozen, TokenShards, Vocabulary
from components.core.component import Component
from components.core.settings import settings
from components.core.workers import train_on_workers
from components.lib.plan import Training

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.lib.training import Batch


class TrainInputs(Frozen):
    """What `Train` reads."""

    shards: TokenShards
    """Tokens of the train and validation splits."""
    vocabulary: Vocabulary
    """The tokenizer they were made with; the model carries it along."""


class Train(Component[TrainInputs, Checkpoint]):
    """Pretrain under Ray Train, data-parallel, resuming from its own checkpoints.

    While it trains, the spool gets loss, gradient norm, learning rate, tokens per second, the
    share of this device's measured matmul peak, and the validation bits per byte.
    Writes a model and tokenizer in Hugging Face layout.
    """

    version: ClassVar[str] = "1.1.0"

    training: Training
    """Steps, batch and learning rate; an example is one sequence."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens a sequence."""
    width: int = Field(default=256, ge=16)
    """Size of the residual stream; a multiple of `num_heads`."""
    num_layers: int = Field(default=4, ge=1)
    """Decoder blocks."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads."""
    num_key_value_heads: int = Field(default=2, ge=1)
    """Heads of keys and values; fewer than `num_heads` is grouped-query attention."""
    max_length: int = Field(default=512, ge=8)
    """Longest context that the released model declares."""
    validation_sequences: int = Field(default=64, ge=1)
    """Sequences of the validation split that each validation measures."""

    def run(self, inputs: TrainInputs, out: Path) -> Checkpoint:
        """Train, under Ray or in this process, and leave the model in `out`.

        Raises:
            ValueError: the shapes do not fit, or the data is smaller than one batch.
        """
        from components.core.files import size_of
        from components.lib.models import load_model, num_parameters

        self._check(inputs)
        train_on_workers(train_worker, self, inputs, out)
        return Checkpoint(
            path=out,
            num_parameters=num_parameters(load_model(out)),
            bytes_on_disk=size_of(out, "*.safetensors"),
        )

    def _check(self, inputs: TrainInputs) -> None:
        if self.width % (2 * self.num_heads) or self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self.width=} must be an even multiple of {self.num_heads=} (rotary embedding "
                f"turns pairs), and that a multiple of {self.num_key_value_heads=}."
            )
        if settings().num_workers > self.training.batch_size:
            raise ValueError(
                f"{self.training.batch_size=} has no example for each of the "
                f"{settings().num_workers} workers. Raise it or lower BLOOMERY_NUM_WORKERS."
            )
        if self.sequence_length > self.max_length:
            raise ValueError(f"{self.sequence_length=} is longer than {self.max_length=}.")
        num_sequences = len(NextToken(inputs.shards.path / "train", self.sequence_length))
        if num_sequences < self.training.batch_size:
            raise ValueError(
                f"The train split has {num_sequences} sequences of {self.sequence_length} tokens, "
                f"fewer than one batch of {self.training.batch_size}. Add documents with "
                "`bloomery data add`, or lower batch_size or sequence_length."
            )


class NextToken:
    """Examples of the next-token objective: the windows of a split."""

    def __init__(self, folder: Path, sequence_length: int) -> None:
        """Map the shards of `folder`."""
        from components.lib.shards import Sequences

        self.sequences = Sequences(folder, sequence_length)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.sequences)

    def batch(self, indices: "NDArray[np.int64]") -> "Batch":
        """Return the chosen sequences: targets are the inputs one token on."""
        from components.lib.training import Batch

        windows = self.sequences.windows(indices)
        return Batch(windows[:, :-1].copy(), windows[:, 1:].copy())


def train_worker(payload: dict[str, Any]) -> None:
    """Train in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    import torch

    from components.lib.architectures import SpecialIds, build_model
    from components.lib.chat import END_OF_TEXT, PADDING, token_id
    from components.lib.checkpoint import remove
    from components.lib.device import keep_memory
    from components.lib.held_out import HeldOut
    from components.lib.models import flops_per_token, load_tokenizer, save_model
    from components.lib.shape import Shape
    from components.lib.torch_model import TorchModel
    from components.lib.training import Group, fit

    component = Train.model_validate(payload["component"])
    inputs = TrainInputs.model_validate(payload["inputs"])
    out = Path(payload["out"])
    torch.set_num_threads(settings().threads_per_worker)
    keep_memory()

    examples = NextToken(inputs.shards.path / "train", component.sequence_length)
    tokenizer = load_tokenizer(inputs.vocabulary.path)
    shape = Shape(
        width=component.width,
        num_layers=component.num_layers,
        num_heads=component.num_heads,
        num_key_value_heads=component.num_key_value_heads,
        max_length=component.max_length,
    )
    ids = SpecialIds(token_id(tokenizer, END_OF_TEXT), token_id(tokenizer, PADDING))
    model = build_model(shape, inputs.vocabulary.vocab_size, ids, component.training.seed)
    held_out = HeldOut(
        inputs.shards, "validation", component.sequence_length, component.validation_sequences
    )
    fit(
        model,
        component.training,
        examples,
        out,
        evaluate=lambda: {"validation_bits_per_byte": held_out.bits_per_byte(TorchModel(model))},
        flops_per_token=flops_per_token(model, component.sequence_length),
    )
    if Group.current().rank == 0:
        save_model(model, tokenizer, out)
        remove(out)
