"""A decoder read layer by layer on calibration text: what each of its matrices multiplies with."""

# N = sequences, T = tokens of one, C = inputs of a matrix

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from components.compress.calibration.inputs import CalibrationInputs
from components.lib.examples.shards import Sequences

MIN_TOKENS = 1024
"""Fewer say too little of what a matrix of some hundred inputs meets."""


class Layer(NamedTuple):
    """A layer of a decoder, and what it met."""

    prefix: str
    """Of the names of its weights."""
    module: nn.Module
    """Its weights may be changed: the next layer then meets what these give."""
    products: dict[str, Tensor]
    """X'X / (N T) of the inputs X of each linear, (C, C) float32, by the linear's name in it."""


def calibration_ids(inputs: CalibrationInputs, number: int, length: int) -> Tensor:
    """Return at most `number` sequences of `length` tokens, taken evenly, (N, T).

    Raises:
        ValueError: there is too little text, or it is encoded with another vocabulary.
    """
    sequences = Sequences(inputs.shards.path / "train", length)
    ids = torch.from_numpy(sequences.spread(number)[:, :-1])
    if ids.numel() < MIN_TOKENS:
        raise ValueError(
            f"The calibration text has {ids.numel()} tokens, and fewer than {MIN_TOKENS} say too "
            "little of what a model reads: add documents, or raise num_sequences."
        )
    return ids


def check_vocabulary(model: PreTrainedModel, ids: Tensor) -> None:
    """Raise ValueError if an id is none of the model's."""
    embeddings: Any = model.get_input_embeddings()
    rows: int = embeddings.weight.shape[0]
    if int(ids.max()) >= rows:
        raise ValueError(
            f"The calibration text has the id {int(ids.max())}, and the model {rows} rows: encode "
            "the text with this model's own tokenizer."
        )


@torch.no_grad()
def walk(model: PreTrainedModel, ids: Tensor) -> Iterator[Layer]:
    """Yield the layers in order, each with what its linears meet once those before are done.

    Raises:
        ValueError: the model has no `model.layers`.
    """
    layers = getattr(getattr(model, "model", None), "layers", None)
    if layers is None:
        raise ValueError(
            f"{type(model).__name__} has no model.layers to calibrate one by one: round to nearest."
        )
    check_vocabulary(model, ids)
    states, arguments = _first_states(model, layers, ids)
    for number, module in enumerate(layers):
        yield Layer(f"model.layers.{number}.", module, _products(module, states, arguments[number]))
        states = [_run(module, state, arguments[number]) for state in states]


def linears(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the linears of a layer by name."""
    return {name: each for name, each in module.named_modules() if isinstance(each, nn.Linear)}


def _first_states(
    model: PreTrainedModel, layers: Any, ids: Tensor
) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """Return what the first layer reads, a sequence each, and what else every layer is given."""
    states: list[Tensor] = []
    arguments: list[dict[str, Any]] = [{} for _ in layers]

    def see(number: int) -> Any:
        def hook(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            named = {**named}
            state = given[0] if given else named.pop("hidden_states")
            if number == 0:
                states.append(state)
            arguments[number] = named

        return hook

    hooks = [
        layer.register_forward_pre_hook(see(number), with_kwargs=True)
        for number, layer in enumerate(layers)
    ]
    try:
        for row in ids:
            model(input_ids=row[None], use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return states, arguments


def _run(module: nn.Module, state: Tensor, arguments: dict[str, Any]) -> Tensor:
    made = module(state, **arguments)
    return made[0] if isinstance(made, tuple) else made


def _products(
    module: nn.Module, states: list[Tensor], arguments: dict[str, Any]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def see(name: str) -> Any:
        def hook(_: Any, given: tuple[Tensor, ...]) -> None:
            rows = given[0].reshape(-1, given[0].shape[-1]).float()
            product = rows.T @ rows
            found[name] = found[name] + product if name in found else product

        return hook

    hooks = [each.register_forward_pre_hook(see(name)) for name, each in linears(module).items()]
    try:
        for state in states:
            _run(module, state, arguments)
    finally:
        for hook in hooks:
            hook.remove()
    number = sum(state.shape[:-1].numel() for state in states)
    return {name: product / number for name, product in found.items()}
