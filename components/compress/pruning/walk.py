"""A model that computes some of its blocks at a time, on hidden states that are kept."""

# N = texts, T = tokens of a text, D = width of the model, I = inputs of a linear map

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from components.lib.models.sparsity import Matrix, blocks_of


class Walk:
    """Lets a model compute any run of its blocks alone, while the others pass on what they get.

    The model itself makes masks and positions for each, so that this is right for any class of
    decoder. Use it as a context: at its end the model is what it was.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Walk over the blocks of `model`, which is set to compute, not to train."""
        self._model: Any = model.eval()
        self.blocks = blocks_of(model)
        self._first, self._last = 0, len(self.blocks) - 1
        self._given: Tensor | None = None
        self._seen: list[Tensor] = []
        self._is_tuple = False
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        """Put a gate before every block."""
        self._before = [block.__dict__.get("forward") for block in self.blocks]
        for number, block in enumerate(self.blocks):
            block.forward = self._gate(number, block.forward)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the gates away."""
        for block, before in zip(self.blocks, self._before, strict=True):
            del block.forward
            if before is not None:
                block.forward = before

    @torch.no_grad()
    def embed(self, ids: Tensor) -> list[Tensor]:
        """Return what the first block gets of each of the texts (N, T): N times (1, T, D)."""
        return [self._run(row, 0, 0)[0] for row in ids.split(1)]

    @torch.no_grad()
    def through(self, block: int, ids: Tensor, states: Iterable[Tensor]) -> list[Tensor]:
        """Return what a block makes of its inputs, both N times (1, T, D)."""
        pairs = zip(ids.split(1), states, strict=True)
        return [self._run(row, block, block, state)[-1] for row, state in pairs]

    @torch.no_grad()
    def all_states(self, row: Tensor) -> list[Tensor]:
        """Return what each block gets of a text (1, T), and what the last one makes: (1, T, D)."""
        return self._run(row, 0, len(self.blocks) - 1)

    @torch.no_grad()
    def logits_from(self, block: int, row: Tensor, state: Tensor) -> Tensor:
        """Return the logits (T, V) of a text (1, T), given the input of `block` and no other."""
        self._set(block, len(self.blocks) - 1, state)
        return self._model(input_ids=row.to(self._model.device), use_cache=False).logits[0]

    def _run(self, row: Tensor, first: int, last: int, state: Tensor | None = None) -> list[Tensor]:
        self._set(first, last, state)
        self._model.base_model(input_ids=row.to(self._model.device), use_cache=False)
        return self._seen

    def _set(self, first: int, last: int, given: Tensor | None) -> None:
        self._first, self._last, self._given, self._seen = first, last, given, []

    def _gate(self, number: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        def gated(*args: Any, **named: Any) -> Any:
            state = args[0] if args else named.pop("hidden_states")
            if not self._first <= number <= self._last:
                return (state,) if self._is_tuple else state
            if number == self._first:
                state = state if self._given is None else self._given
                self._seen.append(state)
            made = forward(state, *args[1:], **named)
            self._is_tuple = isinstance(made, tuple)
            self._seen.append(made[0] if isinstance(made, tuple) else made)
            return made

        return gated


class Moments:
    """Sums of x x^T over all inputs x of linear maps, while it is entered."""

    def __init__(self, matrices: Iterable[Matrix]) -> None:
        """Watch the inputs of `matrices`."""
        self._matrices = list(matrices)
        self._sums: dict[str, Tensor] = {}
        self._alias: dict[str, str] = {}
        self._last: tuple[str, Tensor] | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        for matrix in self._matrices:
            hook = self._hook(matrix.name)
            self._handles.append(matrix.module.register_forward_pre_hook(hook))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Watch no more."""
        for handle in self._handles:
            handle.remove()
        self._last = None

    def of(self, matrix: Matrix) -> Tensor:
        """Return the sum (I, I) for a matrix; those that read one input share it."""
        return self._sums[self._alias[matrix.name]]

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            given = args[0]
            if self._last is not None and self._last[1] is given:
                self._alias[name] = self._alias[self._last[0]]
            else:
                self._add(name, given.detach().flatten(0, -2).float())
            self._last = (name, given)

        return watch

    def _add(self, name: str, rows: Tensor) -> None:
        self._alias[name] = name
        if name not in self._sums:
            self._sums[name] = rows.new_zeros(rows.shape[1], rows.shape[1])
        self._sums[name].addmm_(rows.T, rows)
