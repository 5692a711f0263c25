"""Several sets of dialogues in stated shares."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from components.lib.examples.batches import Batch
from components.lib.examples.dialogues import Dialogues, Stretch


class Mixture:
    """Dialogues of which each set has a share of what is drawn, however many it holds.

    A set's share is that of its weight among all weights. The mixture is as long as it must be for
    every dialogue to come at least once; one of a small set with a large weight comes more often.
    Which dialogue an index means depends on the index alone, so that a resumed run sees the same.
    """

    def __init__(self, dialogues: Dialogues, weights: Mapping[str, float]) -> None:
        """Mix the sets that `weights` names.

        Raises:
            ValueError: a set has no weight or none of its dialogues is there.
        """
        self._dialogues = dialogues
        members = defaultdict[str, list[int]](list)
        for index, dialogue in enumerate(dialogues.dialogues):
            members[dialogue.source].append(index)
        if members.keys() != weights.keys():
            raise ValueError(
                f"weights are of {', '.join(sorted(weights))}, and the dialogues are of "
                f"{', '.join(sorted(members))}: give each of these sets a weight."
            )
        total = sum(weights.values())
        self._sets = {name: np.array(members[name]) for name in sorted(members)}
        self._shares = {name: weights[name] / total for name in self._sets}
        length = max(ceil(len(own) / self._shares[name]) for name, own in self._sets.items())
        sizes = [max(1, round(length * share)) for share in self._shares.values()]
        self._starts = np.cumsum([0, *sizes])

    def __len__(self) -> int:
        """Return how many are drawn until all were."""
        return int(self._starts[-1])

    def batch(self, indices: NDArray[np.int64], beside: Sequence[Stretch] = ()) -> Batch:
        """Return the chosen dialogues, and what else is to be learnt `beside` them, packed."""
        return self._dialogues.batch(self.members(indices), beside)

    def members(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which dialogue each index means, (n,)."""
        which = np.searchsorted(self._starts, indices, side="right") - 1
        found = np.empty_like(indices)
        for number, own in enumerate(self._sets.values()):
            of_set = which == number
            found[of_set] = own[(indices[of_set] - self._starts[number]) % len(own)]
        return found

    def epochs(self, num_drawn: int) -> dict[str, float]:
        """Return how often each set is seen when so many are drawn."""
        drawn = {name: num_drawn * share for name, share in self._shares.items()}
        return {name: drawn[name] / len(own) for name, own in self._sets.items()}
