"""What a training loop consumes: batches of examples, and which part of one a process computes."""

# B = examples of a batch, T = tokens of an example

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IGNORED = -100  # target that has no loss, as transformers and torch have it
POSITIONS = "position_ids"  # (B, T) of a batch's extras: 0 at the first token of each document


@dataclass(frozen=True)
class Batch:
    """Token ids and what each position must predict."""

    inputs: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), IGNORED where there is no loss
    extras: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)  # (B, ...) by name
    lengths: NDArray[np.int64] | None = None  # (B,), if not up to the last target

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.inputs)

    def rows(self, chosen: slice) -> "Batch":
        """Return some of the examples."""
        extras = {name: values[chosen] for name, values in self.extras.items()}
        lengths = None if self.lengths is None else self.lengths[chosen]
        return Batch(self.inputs[chosen], self.targets[chosen], extras, lengths)

    def num_targets(self) -> int:
        """Return how many positions have a loss."""
        return int((self.targets != IGNORED).sum())

    def num_tokens(self) -> int:
        """Return how many positions are not padding."""
        return int(self.widths().sum())

    def holds_tokens(self) -> NDArray[np.bool_]:
        """Return where there is no padding, shape (B, T)."""
        return np.arange(self.targets.shape[1]) < self.widths()[:, None]

    def trimmed(self) -> "Batch":
        """Return the batch only as wide as its last target: for causal models, the same losses.

        Examples that name their lengths stay as wide as they are: they are padded little, and a
        compiled model meets one shape.
        """
        return self if self.lengths is not None else self.narrow()

    def narrow(self) -> "Batch":
        """Return the batch only as wide as its widest example, as `trimmed`."""
        width = max(1, int(self.widths().max()))  # models take no empty sequence
        extras = dict(self.extras)
        if POSITIONS in extras:
            extras[POSITIONS] = extras[POSITIONS][:, :width]
        return Batch(self.inputs[:, :width], self.targets[:, :width], extras, self.lengths)

    def widths(self) -> NDArray[np.int64]:
        """Return how far each example reaches: up to its last target, or its length; (B,)."""
        if self.lengths is not None:
            return self.lengths
        bears_loss = self.targets != IGNORED
        behind_last = self.targets.shape[1] - np.argmax(bears_loss[:, ::-1], axis=1)
        return np.where(bears_loss.any(axis=1), behind_last, 0)


class Examples(Protocol):
    """A finite set of examples that can be drawn in any order."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen examples as one batch; the same for the same indices."""
        ...
