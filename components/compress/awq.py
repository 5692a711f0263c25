"""AWQ: what a matrix meets in large numbers is made small, and its weights large, before rounding.

Rounding then costs less where it counts. The model computes what it did: what divides the inputs
of a matrix is set into the matrix or the norm before it.
"""

# C = inputs of a matrix

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from components.compress.calibration.inputs import CalibrationInputs
from components.compress.rounding import BLOCK
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.settings import settings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_KNOWN = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_MAX_CHANGE = 1e-3  # of the largest logit; other orders of addition give 1e-6 in float32


class AWQ(Component[CalibrationInputs, Checkpoint]):
    """Scale the inputs of a model's matrices for 4-bit rounding (Lin et al. 2024, AWQ).

    Each is scaled by a power of its root mean square on calibration text; the power is the one of
    a grid that leaves the least error after rounding. Writes a model that computes the same, to be
    rounded to nearest by any export, or by GPTQ.
    """

    version: ClassVar[str] = "1.0.0"

    num_sequences: int = Field(default=32, ge=1)
    """Of calibration text, taken evenly from the train split."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of each."""
    num_powers: int = Field(default=10, ge=1)
    """Powers that are tried, evenly from 0 (no scaling) to before 1."""

    def run(self, inputs: CalibrationInputs, out: Path) -> Checkpoint:
        """Scale the layers one after the other and save the model.

        Raises:
            ValueError: there is too little text, it is of another vocabulary, or the model is of a
                class whose norms are not known.
        """
        import torch

        from components.compress.calibration.walk import calibration_ids, walk
        from components.lib.models.folders import describe, load_model, save_model

        torch.set_num_threads(settings().num_threads)
        ids = calibration_ids(inputs, self.num_sequences, self.sequence_length)
        model = load_model(inputs.model.path)
        if (kind := type(model).__name__) not in _KNOWN:
            raise ValueError(f"AWQ knows {', '.join(_KNOWN)}, and this is {kind}: use GPTQ.")
        with torch.no_grad():
            before = _logits(model, ids)
            for layer in walk(model, ids):
                for group in _groups(layer.module, model.config):
                    scale = _best_scale(group, layer.products[group.name], self.num_powers)
                    _fold(group, scale)
            _check_same(before, _logits(model, ids))
        save_model(model, inputs.model.path, out)
        return describe(out, self.sequence_length)


class Group(NamedTuple):
    """Matrices with the same inputs, and what makes these inputs."""

    name: str
    """Of the first matrix."""
    matrices: list[Any]
    """They multiply with scaled inputs."""
    source: Any
    """A norm, or a linear; its outputs are divided."""
    repeats: int = 1
    """How many heads read one head of the source's outputs."""
    head: int = 1
    """Width of a head, where `repeats` is more than 1."""


def _groups(layer: Any, config: Any) -> Iterator[Group]:
    attention, mlp = layer.self_attn, layer.mlp
    queries = [attention.q_proj, attention.k_proj, attention.v_proj]
    yield Group("self_attn.q_proj", queries, layer.input_layernorm)
    size = attention.v_proj.out_features // config.num_key_value_heads
    repeats = config.num_attention_heads // config.num_key_value_heads
    yield Group("self_attn.o_proj", [attention.o_proj], attention.v_proj, repeats, size)
    yield Group("mlp.gate_proj", [mlp.gate_proj, mlp.up_proj], layer.post_attention_layernorm)
    yield Group("mlp.down_proj", [mlp.down_proj], mlp.up_proj)


def _best_scale(group: Group, product: "Tensor", num_powers: int) -> "Tensor":
    """Return what to multiply the columns of a group by, (C,): of the tried, the least error."""
    import torch

    from components.compress.calibration.grid import to_nearest

    size = _shared(group, product.diagonal().clamp_min(1e-12)).sqrt()
    best, least = torch.ones_like(size), torch.inf
    for power in range(num_powers):
        scale = size ** (power / num_powers)
        scale = scale / (scale.max() * scale.min()).sqrt()
        error = 0.0
        for matrix in group.matrices:
            off = to_nearest(matrix.weight * scale, BLOCK) / scale - matrix.weight
            error += float(((off @ product) * off).sum())
        if error < least:
            best, least = scale, error
    return best


def _shared(group: Group, values: "Tensor") -> "Tensor":
    """Return the mean of values (C,) over heads that read the same head of the source."""
    if group.repeats == 1:
        return values
    heads = values.reshape(-1, group.repeats, group.head)
    return heads.mean(dim=1, keepdim=True).expand_as(heads).reshape(-1)


def _fold(group: Group, scale: "Tensor") -> None:
    for matrix in group.matrices:
        matrix.weight.mul_(scale)
    own = scale.reshape(-1, group.repeats, group.head)[:, 0].reshape(-1)
    weight = group.source.weight
    weight.div_(own if weight.dim() == 1 else own[:, None])
    if getattr(group.source, "bias", None) is not None:
        group.source.bias.div_(own)


def _logits(model: "PreTrainedModel", ids: "Tensor") -> "Tensor":
    net: Any = model
    return net(input_ids=ids[:1], use_cache=False).logits


def _check_same(before: "Tensor", after: "Tensor") -> None:
    change = float((after - before).abs().max() / before.abs().max())
    if not change <= _MAX_CHANGE:
        raise ValueError(
            f"Scaling changed the logits by {change:.1%} of the largest, and it must not change "
            "what the model computes: use GPTQ for this model."
        )
