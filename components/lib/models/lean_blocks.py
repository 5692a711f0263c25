"""Parts of transformers' blocks on a CPU, which keep less for the gradient and pass over it less.

Only modules that compute exactly what Llama's do are replaced, by the source of their `forward`.
"""

# N = tokens, I = inputs of a linear map, O = its outputs

from functools import cache
from inspect import getsource
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

_NUMBERS_AT_ONCE = 1 << 22  # of a weight: more than that of any map within most blocks
_HALF = "bloomery_half"  # attribute of a tensor: a copy of it for all that read it


def slim(model: PreTrainedModel) -> int:
    """Let norms, gated networks and linear maps of a model keep less; return how many there are.

    The results are the same but for rounding.
    """
    found = 0
    for module in model.modules():
        forward = _leaner(module)
        if forward is not None:
            module.forward = MethodType(forward, module)
            found += 1
    return found


def _leaner(module: nn.Module) -> Any:
    layer: Any = module
    if type(module) is nn.Linear:
        return _linear
    if _is_like(type(module), LlamaRMSNorm):
        return _norm
    if _is_like(type(module), LlamaMLP) and isinstance(layer.act_fn, nn.SiLU | _silu()):
        return _gated
    return None


@cache
def _is_like(kind: type[nn.Module], other: type[nn.Module]) -> bool:
    if not kind.__module__.startswith("transformers.models."):
        return False
    try:
        return getsource(kind.forward) == getsource(other.forward)
    except OSError:  # it was installed without its source
        return False


@cache
def _silu() -> type[nn.Module]:
    from transformers.activations import ACT2FN

    return type(ACT2FN["silu"])


def half(given: Tensor) -> Tensor:
    """Return a tensor in bfloat16, without gradient: one copy for all maps that read it."""
    if given.dtype == torch.bfloat16 or given.is_inference():
        return given.detach().bfloat16()
    version, found = getattr(given, _HALF, (-1, None))
    if found is None or version != given._version:
        found = given.detach().bfloat16()
        setattr(given, _HALF, (given._version, found))
    return found


def _linear(layer: Any, given: Tensor) -> Tensor:
    """Return (..., O) for (..., I)."""
    if not torch.is_autocast_enabled("cpu"):
        return F.linear(given, layer.weight, layer.bias)
    return _Linear.apply(given, half(given), layer.weight, layer.bias)  # pyright: ignore


class _Linear(torch.autograd.Function):
    """A linear map in bfloat16, of inputs that others read too."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, halved: Tensor, weight: Tensor, bias: Any) -> Tensor:
        """Return (..., O) for `given` (..., I), of which `halved` is the bfloat16."""
        rows = halved.flatten(0, -2)  # (N, I)
        small = weight.bfloat16()
        ctx.save_for_backward(rows, weight)
        ctx.kind, ctx.shape = given.dtype, given.shape
        made = F.linear(rows, small, None if bias is None else bias.bfloat16())
        return made.view(*given.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of what was given, of the weight and of the bias."""
        rows, weight = ctx.saved_tensors
        of_made = gradients[0].flatten(0, -2)  # (N, O)
        wants_given, _, wants_weight, wants_bias = ctx.needs_input_grad
        of_given = of_weight = of_bias = None
        if wants_given:
            of_given = (of_made @ weight.bfloat16()).view(ctx.shape).to(ctx.kind)
        if wants_weight:
            of_weight = _of_weight(of_made, rows, weight)
        if wants_bias:
            of_bias = of_made.sum(0).float()
        return of_given, None, of_weight, of_bias


def _of_weight(of_made: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of a weight (O, I), for that of what it made (N, O) of `rows` (N, I).

    No copy in bfloat16 of that of a whole vocabulary is made.
    """
    found = torch.empty_like(weight)
    size = max(1, _NUMBERS_AT_ONCE // weight.shape[1])
    for start in range(0, len(weight), size):
        some = slice(start, start + size)
        found[some] = of_made[:, some].T @ rows
    return found


def _norm(layer: Any, hidden_states: Tensor) -> Tensor:
    """Return Llama's norm of (..., I)."""
    made: Any = _Norm.apply(hidden_states, layer.weight, layer.variance_epsilon)
    return made


class _Norm(torch.autograd.Function):
    """Keeps what was given alone, and the scale of each row."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Return weight x given / its root mean square, (..., I)."""
        wide = given.float()
        scale = wide.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        ctx.save_for_backward(given, weight, scale)
        return weight * (wide * scale).to(given.dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of what was given and of the weight."""
        given, weight, scale = ctx.saved_tensors
        of_made = gradients[0].float()
        normed = given.float() * scale
        of_normed = of_made * weight
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (of_made * normed).flatten(0, -2).sum(0).to(weight.dtype)
        share = (of_normed * normed).mean(-1, keepdim=True)
        of_given = of_normed.sub_(normed.mul_(share)).mul_(scale)
        return of_given.to(given.dtype), of_weight, None


def _gated(layer: Any, x: Tensor) -> Tensor:
    """Return what Llama's feed-forward network makes of (..., I)."""
    down, gate, up = layer.down_proj, layer.gate_proj(x), layer.up_proj(x)
    is_plain = getattr(down.forward, "__func__", None) is _linear
    if is_plain and down.bias is None and torch.is_autocast_enabled("cpu"):
        return _GatedDown.apply(gate, up, down.weight)  # pyright: ignore
    made: Any = _Gated.apply(gate, up)
    return down(made)


class _Gated(torch.autograd.Function):
    """silu(gate) x up, of which the first factor is computed again for the gradient."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Return the product, in the shape of both."""
        ctx.save_for_backward(gate, up)
        return F.silu(gate) * up

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of gate and up."""
        gate, up = ctx.saved_tensors
        return _of_factors(gradients[0], F.silu(gate), gate, up)


class _GatedDown(torch.autograd.Function):
    """A linear map in bfloat16 of silu(gate) x up, which is computed again for the gradient."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, weight: Tensor) -> Tensor:
        """Return (..., O) for gate and up (..., I) and the weight (O, I)."""
        ctx.save_for_backward(gate, up, weight)
        return F.linear((F.silu(gate) * up).bfloat16(), weight.bfloat16())

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the gradients of gate, up and the weight."""
        gate, up, weight = ctx.saved_tensors
        activated = F.silu(gate)
        of_made = gradients[0].flatten(0, -2)  # (N, O)
        of_weight = None
        if ctx.needs_input_grad[2]:
            product = (activated * up).bfloat16().flatten(0, -2)  # (N, I)
            of_weight = _of_weight(of_made, product, weight)
            del product
        of_product = (of_made @ weight.bfloat16()).view(gate.shape).to(gate.dtype)
        return *_of_factors(of_product, activated, gate, up), of_weight


def _of_factors(
    of_product: Tensor, activated: Tensor, gate: Tensor, up: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of gate and up, all of one shape; `activated`, silu(gate), is lost."""
    of_up = activated.mul_(of_product)
    return torch.ops.aten.silu_backward(of_product * up, gate), of_up
