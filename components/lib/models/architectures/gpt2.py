"""`gpt2` (Radford et al. 2019)."""

from typing import TYPE_CHECKING, Any

from components.lib.models.architectures.architecture import Architecture
from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class GPT2(Architecture):
    """The decoder of 2017's transformer, with norms before the blocks."""

    begins_at_zero = ("c_proj.weight",)

    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return a `GPT2LMHeadModel`, with dropout wherever it was published with it."""
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            **common,
            n_embd=shape.width,
            n_inner=self.feed_forward_width(shape),
            n_layer=shape.num_layers,
            n_head=shape.num_heads,
            n_positions=shape.max_length,
            resid_pdrop=shape.dropout,
            embd_pdrop=shape.dropout,
            attn_pdrop=shape.dropout,
        )
        return GPT2LMHeadModel(config)
