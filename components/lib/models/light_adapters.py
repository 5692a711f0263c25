"""Adapters on a CPU with bfloat16: a base in half of the memory, and no pass but the products."""

# N = tokens, I = inputs of a linear map, O = its outputs, R = rank

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.lib.device import device, has_bfloat16
from components.lib.models.lean_blocks import half

_NAME = "default"  # PEFT's, of the one adapter


def lighten(model: PreTrainedModel) -> int:
    """Keep the linear maps under plain adapters in bfloat16, as autocast computes with them.

    Returns how many there are; none where autocast computes otherwise. An adapter's gradient is
    PEFT's but for rounding.
    """
    if device().type != "cpu" or not has_bfloat16():
        return 0
    found = [module for module in model.modules() if _is_plain(module)]
    for module in found:
        base: Any = module.base_layer
        base.weight.data = base.weight.data.bfloat16()
        module.forward = MethodType(_forward, module)
    if found:
        _leave_file(model)
    return len(found)


def _is_plain(module: nn.Module) -> bool:
    if type(module) is not Linear:
        return False
    layer: Any = module
    has_one = list(layer.lora_A) == [_NAME] and not layer.lora_variant and not layer.merged
    has_dropout = not isinstance(layer.lora_dropout[_NAME], nn.Identity)
    has_bias = layer.lora_B[_NAME].bias is not None
    is_linear = type(layer.base_layer) is nn.Linear
    return has_one and is_linear and not has_dropout and not has_bias


def _leave_file(model: PreTrainedModel) -> None:
    """Copy what is left of the weights, so that the file that they were mapped from is let go."""
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.dtype == torch.float32:
            parameter.data = parameter.data.clone()


def _forward(layer: Any, given: Tensor) -> Tensor:
    """Return what PEFT's layer returns, (..., O) for (..., I)."""
    base, scaling = layer.base_layer, layer.scaling[_NAME]
    down, up = layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight
    if torch.is_autocast_enabled("cpu"):
        bias = None if base.bias is None else base.bias.bfloat16()
        return _Adapted.apply(given, half(given), base.weight, bias, down, up, scaling)
    made = F.linear(given, base.weight.to(given.dtype), base.bias)
    return made + F.linear(F.linear(given, down), up) * scaling


class _Adapted(torch.autograd.Function):
    """A map that is not trained, and its adapter that is."""

    @staticmethod
    def forward(
        ctx: Any,
        given: Tensor,
        halved: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scaling: float,
    ) -> Tensor:
        """Return (..., O) in bfloat16 for `given` (..., I), of which `halved` is the bfloat16.

        `weight` (O, I) and `bias` (O,) are in bfloat16, `down` (R, I) and `up` (O, R) are cast.
        """
        down, up = down.bfloat16(), up.bfloat16()
        rows = halved.flatten(0, -2)  # (N, I)
        narrow = rows @ down.T  # (N, R)
        made = F.linear(rows, weight, bias)
        made.addmm_(narrow, up.T, alpha=scaling)
        ctx.save_for_backward(rows, narrow, weight, down, up)
        ctx.scaling, ctx.kind, ctx.shape = scaling, given.dtype, given.shape
        return made.view(*given.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of what was given and of the adapter."""
        rows, narrow, weight, down, up = ctx.saved_tensors
        of_made = gradients[0].flatten(0, -2)  # (N, O)
        of_narrow = (of_made @ up).mul_(ctx.scaling)  # (N, R)
        of_up = (of_made.T @ narrow).float().mul_(ctx.scaling)
        of_down = (of_narrow.T @ rows).float()
        of_given = None
        if ctx.needs_input_grad[0]:
            of_given = (of_made @ weight).addmm_(of_narrow, down)
            of_given = of_given.view(ctx.shape).to(ctx.kind)
        return of_given, None, None, None, of_down, of_up, None
