"""Examples of the next-token objective: the windows of a split of token shards."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.lib.shards import Sequences

if TYPE_CHECKING:
    from components.lib.batches import Batch


class Windows:
    """Examples of the next-token objective: the windows of a split."""

    def __init__(self, folder: Path, sequence_length: int) -> None:
        """Map the shards of `folder`."""
        self.sequences = Sequences(folder, sequence_length)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.sequences)

    def batch(self, indices: NDArray[np.int64]) -> "Batch":
        """Return the chosen sequences: targets are the inputs one token on."""
        from components.lib.batches import Batch  # torch: counting windows does without

        windows = self.sequences.windows(indices)
        return Batch(windows[:, :-1].copy(), windows[:, 1:].copy())
