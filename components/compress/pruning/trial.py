"""A model in which parts are changed for a moment, to see how far its predictions move."""

# N = texts, T = tokens of a text, D = width of the model, V = vocabulary, L = blocks

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.compress.pruning.walk import Moments, Walk
from components.lib.models.sparsity import Matrix, prunable


class Trial:
    """Holds what the whole model makes of some texts, and measures changes against that.

    It keeps the inputs of every block, N x L x T x D numbers, so that blocks before a change need
    not be computed again, and the log-probabilities of every token, N x T x V.
    """

    def __init__(self, model: PreTrainedModel, ids: Tensor) -> None:
        """Try changes of `model` on texts (N, T)."""
        self.matrices = prunable(model)
        self.moments = Moments(self.matrices)
        self.nats = 0.0
        self._ids, self._walk, self._open = ids, Walk(model), ExitStack()
        self._states: list[list[Tensor]] = []
        self._whole: list[Tensor] = []

    def __enter__(self) -> Self:
        """Read the texts with the whole model."""
        self._open.enter_context(self._walk)
        with self.moments:
            self._states = [self._walk.all_states(row) for row in self._ids.split(1)]
        self._whole = [self._log_probabilities(0, number) for number in range(len(self._ids))]
        self.nats = self._nats(self._whole)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the model as it was."""
        self._open.close()

    @torch.no_grad()
    def cost(
        self, changed: Sequence[Matrix], change: Callable[[Matrix], Tensor]
    ) -> tuple[float, float]:
        """Return what changing some matrices costs, in nats a token: the KL divergence, and more.

        The second is what the text costs on top of what it costs the whole model.
        """
        first = min(matrix.block for matrix in changed)
        before = [matrix.weight.clone() for matrix in changed]
        try:
            for matrix in changed:
                matrix.weight.copy_(change(matrix))
            found = [self._log_probabilities(first, number) for number in range(len(self._ids))]
        finally:
            for matrix, weight in zip(changed, before, strict=True):
                matrix.weight.copy_(weight)
        pairs = zip(found, self._whole, strict=True)
        kl = sum(
            float(F.kl_div(new, whole, reduction="sum", log_target=True)) for new, whole in pairs
        )
        return kl / self._ids.numel(), self._nats(found) - self.nats

    def _log_probabilities(self, first: int, number: int) -> Tensor:
        """Return ln p (T, V) of a text, with the blocks from `first` on computed anew."""
        row, state = self._ids[number : number + 1], self._states[number][first]
        return self._walk.logits_from(first, row, state).float().log_softmax(-1)

    def _nats(self, texts: Sequence[Tensor]) -> float:
        """Return the mean nats of each next token."""
        rows = zip(texts, self._ids.to(texts[0].device), strict=True)
        sums = [float(F.nll_loss(said[:-1], row[1:], reduction="sum")) for said, row in rows]
        return sum(sums) / (self._ids.shape[0] * (self._ids.shape[1] - 1))
