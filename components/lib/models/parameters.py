"""Which of a model's parameters are of a kind, by their names in transformers and their shapes."""

from typing import Literal

from torch import nn

ParameterKind = Literal["hidden", "embedding", "other matrix", "vector"]

_EMBEDDINGS = ("embed", ".wte.", ".wpe.", "lm_head")  # tables of tokens and positions
_HEADS_AND_ROUTERS = ("cls.", ".gate.weight")  # of BERT and of a mixture of experts


def by_kind(model: nn.Module) -> dict[ParameterKind, list[nn.Parameter]]:
    """Return the trainable parameters by how they are optimized; a tied embedding is there once.

    - hidden: the matrices within the blocks, a linear map each (of GPT-2, in transposed layout);
    - embedding: tables of tokens and positions, and an output head that is not tied to one;
    - other matrix: heads, routers, and the experts, all of which a layer holds in one stack;
    - vector: norms and biases, which must not decay.
    """
    found: dict[ParameterKind, list[nn.Parameter]] = {
        "hidden": [],
        "embedding": [],
        "other matrix": [],
        "vector": [],
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[_kind(name, parameter)].append(parameter)
    return found


def _kind(name: str, parameter: nn.Parameter) -> ParameterKind:
    if parameter.ndim < 2:
        return "vector"
    if any(part in name for part in _EMBEDDINGS):
        return "embedding"
    if parameter.ndim > 2 or any(part in name for part in _HEADS_AND_ROUTERS):
        return "other matrix"
    return "hidden"
