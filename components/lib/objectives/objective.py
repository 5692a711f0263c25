"""What an objective is: losses, each of which is a mean over its own items."""

# B = examples of a batch

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from torch import Tensor
from transformers import PreTrainedModel

from components.core.artifacts.data import TokenShards
from components.lib.examples.batches import Batch, Examples
from components.lib.examples.packing import Packing
from components.lib.group import Group


class Objective(Protocol):
    """One or several losses over a batch that is computed in parts.

    The loss of a batch is the sum, over its terms, of a term's sum over the items of the whole
    batch, divided by their number. So it does not matter how the batch is cut into processes and
    micro-batches (transformers#35203).
    """

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the number of items that each term is the mean of; every batch has all terms."""
        ...

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return each term, weighed, summed over the items of `batch`: scalars with gradient."""
        ...

    def observed(self, group: Group) -> dict[str, float]:
        """Return what else was seen since the last call; called by all processes together."""
        return {}


class LossOptions(NamedTuple):
    """What a recipe asks of a loss."""

    z_loss: float = 0.0
    """Weight of log^2 of the softmax's normaliser."""
    label_smoothing: float = 0.0
    """Share of a target that is spread over the vocabulary."""


class PretrainingText(NamedTuple):
    """The text of a pretraining, and how it is cut into examples."""

    shards: TokenShards
    tokenizer: Path
    """Folder of the tokenizer that the shards were made with."""
    sequence_length: int
    packing: Packing
    document_mask: bool
    seed: int
    num_held_out: int
    """Examples of the validation split that a validation measures, at most."""


class PretrainingObjective(Objective, Protocol):
    """An objective that finds its examples in plain text, and measures itself on held-out text."""

    @classmethod
    def asked(cls, options: LossOptions) -> Self:
        """Return the objective as a recipe asks for it."""
        ...

    @property
    def predicted(self) -> float:
        """The share of positions whose logits the output head computes."""
        return 1.0

    def examples(self, text: PretrainingText, split: str) -> Examples:
        """Return what it draws from a split.

        Raises:
            ValueError: there is too little text, or the shards do not tell their documents.
        """
        ...

    def evaluation(
        self, model: PreTrainedModel, text: PretrainingText
    ) -> Callable[[], dict[str, float]]:
        """Return what measures `model` as it is now, on the same held-out text each time."""
        ...
