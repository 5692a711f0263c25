"""Weights in 4 bits, of a base that an adapter is trained on (Dettmers et al. 2023, QLoRA)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_TYPE = "nf4"


def quantize(model: PreTrainedModel) -> None:
    """Keep the linear maps of the blocks of `model` in 4 bits, in place; they cannot be trained.

    Raises:
        ValueError: bitsandbytes is not installed, or the model has no such map.
    """
    bitsandbytes = _library()
    for parent, name, linear in _linears(model):
        small = bitsandbytes.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=getattr(linear, "bias", None) is not None,
            compute_dtype=torch.float32,
            quant_type=_TYPE,
        )
        small.weight = bitsandbytes.nn.Params4bit(
            linear.weight.data, requires_grad=False, quant_type=_TYPE
        )
        small.bias = linear.bias
        # else an evaluation packs the weights anew, with scales in bfloat16: another model
        small.support_avx512bf16_for_cpu = False
        setattr(parent, name, small.to(linear.weight.device))
    model.is_loaded_in_4bit = True  # pyright: ignore - by this PEFT knows the maps


def round_off(model: PreTrainedModel) -> None:
    """Give the linear maps of the blocks of `model` the values that `quantize` keeps."""
    functional = _library().functional
    for _, _, linear in _linears(model):
        kept, state = functional.quantize_4bit(
            linear.weight.data, quant_type=_TYPE, compress_statistics=True
        )
        rounded: Tensor = functional.dequantize_4bit(kept, state)
        linear.weight.data = rounded.to(linear.weight.dtype)


def _library() -> Any:
    try:
        import bitsandbytes
    except ImportError as error:
        raise ValueError(
            "A base in nf4 needs bitsandbytes: `pip install 'bloomery[qlora]'`, or leave it in "
            "float32 (lora.base)."
        ) from error
    return bitsandbytes


def _linears(model: PreTrainedModel) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Yield each linear map but the output head, after its parent and its name there."""
    head = model.get_output_embeddings()
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and child is not head
    ]
    if not found:
        raise ValueError(
            f"This {type(model).__name__} has no linear maps of torch to keep in nf4. Leave its "
            "base in float32 (lora.base)."
        )
    yield from found
