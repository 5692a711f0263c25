"""How long and how fast a model is trained."""

from typing import Literal

from pydantic import Field

from components.core.artifacts.base import Frozen


class Loop(Frozen):
    """The options of the training loop, the same for everything that is trained."""

    micro_batch_size: int = Field(default=1024, gt=0)
    """Examples that one process computes at once; gradients are summed over the micro-batches."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon for the hidden matrices and AdamW for the rest, or AdamW for all."""
    schedule: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """Course of the learning rate after the warm-up."""
    embedding_multiplier: float = Field(default=4.0, gt=0)
    """Embeddings learn this many times faster. At 2 M parameters and 0.5 M tokens, 1 gave 2.08
    validation bits per byte, 4 gave 1.86, 10 was worse than 4."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this L2 norm."""
    warmup_fraction: float = Field(default=0.02, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    decay_fraction: float = Field(default=0.4, ge=0, le=1)
    """Share of the steps, in `wsd`, in which it falls to zero."""
    spike_deviations: float = Field(default=6.0, gt=0)
    """A loss or gradient norm this many standard deviations above the mean of the last 128 steps
    is a spike. Its step is skipped, as is one whose gradient is not finite."""
    max_skipped_in_row: int = Field(default=4, ge=0)
    """After more skipped steps in a row, training returns to the newest checkpoint and leaves out
    the data since."""
    max_rollbacks: int = Field(default=2, ge=0)
    """After more returns than this, the training fails."""
    log_every: int = Field(default=10, gt=0)
    """Steps between two points of the metrics."""
    evaluate_every: int = Field(default=200, gt=0)
    """Steps between two validations."""
    checkpoint_every: int = Field(default=200, gt=0)
    """Steps between two checkpoints; the last two are kept."""
    milestone_every: int | None = Field(default=None, gt=0)
    """Steps between two checkpoints that are kept for good."""
    seed: int = 0
    """Seed of the weights, of the order of the data and of dropout."""


class Hyperparameters(Loop):
    """Steps, batch and learning rate; the same for every objective."""

    num_steps: int = Field(gt=0)
    """Optimizer steps."""
    batch_size: int = Field(gt=0)
    """Examples of a step, over all processes."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of the hidden matrices, in AdamW's scale."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled weight decay of the matrices."""

    def of(self, num_examples: int) -> "Hyperparameters":
        """Return them: how many examples there are changes nothing."""
        return self


class DialledHyperparameters(Loop):
    """The same, but what is left out follows from the depth of the model."""

    num_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps; else as many as `tokens_per_parameter` asks for."""
    batch_size: int | None = Field(default=None, gt=0)
    """Sequences of a step, over all processes; else it grows as tokens^0.383."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate of the hidden matrices; else it falls with width and grows with batch."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Decoupled weight decay of the matrices; else it falls as training gets longer."""


class EpochHyperparameters(Loop):
    """The same for a set of examples that is seen a few times over, from a finished model on."""

    optimizer: Literal["muon", "adamw"] = "adamw"
    """Muon for the hidden matrices and AdamW for the rest, or AdamW for all."""
    schedule: Literal["wsd", "cosine", "linear", "constant"] = "linear"
    """Course of the learning rate after the warm-up."""
    embedding_multiplier: float = Field(default=1.0, gt=0)
    """Embeddings learn this many times faster."""
    warmup_fraction: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    num_epochs: int = Field(default=1, ge=1)
    """Times that every example is seen."""
    batch_size: int = Field(default=32, gt=0)
    """Examples of a step, over all processes."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate, in AdamW's scale."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of the matrices."""

    def of(self, num_examples: int) -> Hyperparameters:
        """Return them with the steps that so many examples take."""
        num_steps = -(-num_examples * self.num_epochs // self.batch_size)
        return Hyperparameters(**self.model_dump(exclude={"num_epochs"}), num_steps=num_steps)
