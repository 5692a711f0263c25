"""A model with some of its layers alone."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


def with_layers(model: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """Return a copy of a model that has the layers `kept` (from 0) alone, in this order.

    What its config says of each layer goes with the layer. Embeddings, norms and head are copied.

    Raises:
        ValueError: its layers cannot be told from the rest, or differ in their sizes.
    """
    config: Any = copy.deepcopy(model.config)
    _shorten(config.get_text_config(), kept)
    made: Any = type(model)(config)
    prefix, whole = _layers(model)
    weights = model.state_dict()
    names = {name: _source(name, prefix, kept) for name in made.state_dict()}
    wrong = [name for name, source in names.items() if source not in weights]
    if wrong or len(_layers(made)[1]) != len(kept):
        raise ValueError(
            f"The {len(whole)} layers of this {type(model).__name__} cannot be taken apart"
            f"{': ' + wrong[0] if wrong else ''}. Take a student with a shape of its own."
        )
    with torch.no_grad():
        made.load_state_dict({name: weights[source] for name, source in names.items()})
    return made.eval()


def _shorten(config: Any, kept: Sequence[int]) -> None:
    """Set the number of layers, and of each list that says something of every layer its part."""
    number = config.num_hidden_layers
    lists = {
        name: value
        for name, value in config.to_dict().items()
        if isinstance(value, list) and len(value) == number and not name.endswith(("_id", "_ids"))
    }
    config.num_hidden_layers = len(kept)
    for name in lists:
        of_each = getattr(config, name)
        setattr(config, name, [of_each[layer] for layer in kept])


def _layers(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Return the transformer blocks and how their weights' names begin."""
    number = model.config.get_text_config().num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == number:
            return f"{name}.", module
    raise ValueError(
        f"This {type(model).__name__} has no list of its {number} layers, so that none can be "
        "copied by itself. Take a student with a shape of its own."
    )


def _source(name: str, prefix: str, kept: Sequence[int]) -> str:
    """Return what a weight of the copy is called in the model."""
    if not name.startswith(prefix):
        return name
    layer, dot, rest = name.removeprefix(prefix).partition(".")
    return f"{prefix}{kept[int(layer)]}{dot}{rest}"
