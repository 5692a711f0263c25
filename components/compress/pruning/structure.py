"""Whole heads, neurons and blocks of a decoder: which matter least, and the model without them."""

# O = outputs of a linear map, I = its inputs, G = key-value heads, D = size of a head, T = tokens

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from components.lib.models.sparsity import blocks_of

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
_DAMPING = 0.01  # of the mean of the diagonal of the second moments
_ROUNDS = 4  # in which the cheapest go: the costs of the others rise with each that went


class Kept(NamedTuple):
    """What of a block stays."""

    groups: list[int]
    """Key-value heads, each with its queries."""
    neurons: list[int]
    """Of the feed-forward network."""


class Sizes(NamedTuple):
    """The sizes of a model's blocks."""

    num_groups: int
    """Key-value heads."""
    group_inputs: int
    """Inputs of the attention's output map that come from the queries of one of them."""
    num_neurons: int
    """Of the feed-forward network."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> "Sizes":
        """Return the sizes of a model whose heads and neurons can be cut.

        Raises:
            ValueError: its blocks are built otherwise than Llama's.
        """
        config: Any = model.config.get_text_config()
        (block, *_) = blocks_of(model)
        attention, network = getattr(block, "self_attn", None), getattr(block, "mlp", None)
        known = all(isinstance(getattr(attention, n, None), nn.Linear) for n in _ATTENTION) and all(
            isinstance(getattr(network, n, None), nn.Linear) for n in _FEED_FORWARD
        )
        if not known:
            raise ValueError(
                f"Heads and neurons are cut from blocks that are built as Llama's are, and those "
                f"of {type(model).__name__} are not. Cut layers alone."
            )
        made: Any = block
        inputs = made.self_attn.o_proj.in_features
        groups = config.num_key_value_heads
        return cls(groups, inputs // groups, made.mlp.down_proj.in_features)


def costs(weight: Tensor, moments: Tensor, size: int, *, refits: bool) -> Tensor:
    """Return what the outputs lose, as a sum of squares, without each group of `size` inputs.

    For weights (O, I) and second moments (I, I): tr(W_g H_gg W_g^T) where the others stay as they
    are, and tr(W_g ([H^-1]_gg)^-1 W_g^T) where they make up for it (Hassibi and Stork 1993; for
    groups Kurtic et al. 2023, ZipLM). Shape (I / size,).
    """
    parts = weight.double().reshape(len(weight), -1, size).transpose(0, 1)  # (groups, O, size)
    inner = _damped_inverse(moments) if refits else moments.double()
    number = len(parts)
    own = inner.reshape(number, size, number, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    own = torch.linalg.inv(own) if refits else own
    return ((parts @ own) * parts).sum((1, 2))


def keep_dearest(
    weight: Tensor, moments: Tensor, size: int, num_kept: int, *, refits: bool
) -> list[int]:
    """Return which groups of `size` inputs stay; the cheapest go in a few rounds."""
    kept = list(range(weight.shape[1] // size))
    to_go = len(kept) - num_kept
    for number in range(_ROUNDS, 0, -1):
        goes = round(to_go / number)
        inputs = inputs_of(kept, size)
        own = moments[inputs][:, inputs]
        order = costs(weight[:, inputs], own, size, refits=refits).argsort(stable=True)[goes:]
        kept = [kept[index] for index in sorted(order.tolist())]
        to_go -= goes
    return kept


def inputs_of(groups: list[int], size: int) -> list[int]:
    """Return the inputs that belong to groups of `size`."""
    return [group * size + offset for group in groups for offset in range(size)]


def refit(weight: Tensor, moments: Tensor, inputs: list[int]) -> Tensor:
    """Return weights (O, I) that compute nearest to `weight` from some of the inputs alone.

    Least squares on all inputs that `moments` (I, I) sums up, drawn a little to the weights that
    were there; the other columns are zero.
    """
    hessian = moments.double()
    own = hessian[inputs][:, inputs]
    own = own + _DAMPING * hessian.diagonal().mean() * torch.eye(len(own), device=own.device)
    asked = hessian[inputs] @ weight.double().T
    asked += _DAMPING * hessian.diagonal().mean() * weight[:, inputs].double().T
    found = torch.zeros_like(weight)
    found[:, inputs] = torch.linalg.solve(own, asked).T.to(weight.dtype)
    return found


def masked(weight: Tensor, inputs: list[int]) -> Tensor:
    """Return weights (O, I) of which only the columns of some inputs are not zero."""
    found = torch.zeros_like(weight)
    found[:, inputs] = weight[:, inputs]
    return found


def influence(before: Tensor, after: Tensor) -> float:
    """Return how much a block turns its input, summed over the tokens, for both (1, T, D).

    1 - cos(before, after) of each token: the block influence of Men et al. 2024 (ShortGPT).
    """
    return float((1 - nn.functional.cosine_similarity(before, after, dim=-1)).sum())


def without_blocks(model: PreTrainedModel, kept: list[int]) -> PreTrainedModel:
    """Return the model with some of its blocks alone, in their order."""
    config = copy.deepcopy(model.config)
    text: Any = config.get_text_config()
    depth = len(blocks_of(model))
    for name, value in list(vars(text).items()):  # what is said of each block
        if isinstance(value, list) and len(value) == depth:
            setattr(text, name, [value[block] for block in kept])
    text.num_hidden_layers = len(kept)
    prefix = _prefix(model)
    places = {f"{prefix}.{block}.": f"{prefix}.{place}." for place, block in enumerate(kept)}
    weights: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not name.startswith(f"{prefix}."):
            weights[name] = value
            continue
        own = next((old for old in places if name.startswith(old)), None)
        if own is not None:
            weights[places[own] + name.removeprefix(own)] = value
    return _made(model, config, weights)


def without_parts(
    model: PreTrainedModel, kept: Mapping[int, Kept], sizes: Sizes
) -> PreTrainedModel:
    """Return the model with some heads and neurons of each block alone, as many in each."""
    config = copy.deepcopy(model.config)
    text: Any = config.get_text_config()
    queries = text.num_attention_heads // sizes.num_groups
    size = sizes.group_inputs // queries
    text.head_dim = size
    text.num_key_value_heads = len(kept[0].groups)
    text.num_attention_heads = len(kept[0].groups) * queries
    text.intermediate_size = len(kept[0].neurons)
    weights = dict(model.state_dict())
    for number, block in kept.items():
        attention, network = (f"{_prefix(model)}.{number}.{n}" for n in ("self_attn", "mlp"))
        of_queries = inputs_of(block.groups, sizes.group_inputs)
        of_keys = inputs_of(block.groups, size)
        for name in ("q_proj", "k_proj", "v_proj"):
            _keep(weights, f"{attention}.{name}", of_queries if name == "q_proj" else of_keys, 0)
        _keep(weights, f"{attention}.o_proj", of_queries, 1)
        for name in ("gate_proj", "up_proj"):
            _keep(weights, f"{network}.{name}", block.neurons, 0)
        _keep(weights, f"{network}.down_proj", block.neurons, 1)
    return _made(model, config, weights)


def _keep(weights: dict[str, Tensor], layer: str, indices: list[int], axis: int) -> None:
    """Keep some rows (axis 0), and those of the bias too, or some columns of a layer."""
    chosen = torch.tensor(indices)
    for name in ("weight", "bias") if axis == 0 else ("weight",):
        if (value := weights.get(f"{layer}.{name}")) is not None:
            weights[f"{layer}.{name}"] = value.index_select(axis, chosen.to(value.device))


def _made(model: PreTrainedModel, config: Any, weights: dict[str, Tensor]) -> PreTrainedModel:
    made = type(model)(config)
    made.load_state_dict(weights)
    return made.to(model.device).eval()  # pyright: ignore - wrapped in an untyped decorator


def _prefix(model: PreTrainedModel) -> str:
    return next(name for name, found in model.named_modules() if found is blocks_of(model))


def _damped_inverse(moments: Tensor) -> Tensor:
    hessian = moments.double().clone()
    hessian.diagonal().add_(_DAMPING * hessian.diagonal().mean() + 1e-12)
    return torch.linalg.inv(hessian)
