"""`llama` (Touvron et al. 2023), and what the decoders after it have from it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.lib.models.architectures.architecture import (
    Architecture,
    next_width,
    not_a_multiple,
)
from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Llama(Architecture):
    """Rotary positions, grouped queries, a gated feed-forward network, norms before the blocks."""

    begins_at_zero = ("o_proj.weight", "down_proj.weight")

    def problems(self, shape: Shape) -> Iterator[str]:
        """Yield what does not fit: rotary positions turn pairs, and groups are of one size."""
        size, rest = divmod(shape.width, shape.num_heads)
        if rest:
            yield not_a_multiple(shape)
        elif size % 2:
            yield (
                f"width={shape.width} over num_heads={shape.num_heads} gives heads of {size}, and "
                f"rotary embedding turns pairs: take width={next_width(shape)}."
            )
        if shape.num_heads % shape.num_key_value_heads:
            yield (
                f"num_heads={shape.num_heads} is not a multiple of "
                f"num_key_value_heads={shape.num_key_value_heads}: "
                f"take num_key_value_heads={_nearest_divisor(shape)}."
            )

    def default_num_key_value_heads(self, num_heads: int) -> int:
        """Return half of the heads, or the largest smaller number that divides them."""
        return max((n for n in range(1, num_heads // 2 + 1) if num_heads % n == 0), default=1)

    def feed_forward_width(self, shape: Shape) -> int:
        """Return 8/3 of the width, up to a multiple of 64: as many weights as 4 times ungated."""
        return -(-shape.width * 8 // 3 // 64) * 64

    def config(self, shape: Shape) -> dict[str, Any]:
        """Return the sizes by the names that the configs of all Llama-type decoders take."""
        return {
            "hidden_size": shape.width,
            "intermediate_size": self.feed_forward_width(shape),
            "num_hidden_layers": shape.num_layers,
            "num_attention_heads": shape.num_heads,
            "num_key_value_heads": shape.num_key_value_heads,
            "max_position_embeddings": shape.max_length,
            "attention_dropout": shape.dropout,
        }

    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return a `LlamaForCausalLM`."""
        from transformers import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(LlamaConfig(**common, **self.config(shape)))


def _nearest_divisor(shape: Shape) -> int:
    """Return the divisor of the heads that is nearest to the heads of keys and values."""
    divisors = [n for n in range(1, shape.num_heads + 1) if shape.num_heads % n == 0]
    return min(divisors, key=lambda n: abs(n - shape.num_key_value_heads))
