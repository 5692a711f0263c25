"""`moe`: a mixture of experts (Mixtral, Jiang et al. 2024)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.lib.models.architectures.llama import Llama
from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class MixtureOfExperts(Llama):
    """Llama whose blocks have several feed-forward networks, of which a router chooses."""

    objective = "mixture"
    begins_at_zero = ("o_proj.weight", "experts.down_proj")  # one stack of all experts

    def problems(self, shape: Shape) -> Iterator[str]:
        """Yield what does not fit, more experts of a token than there are among it."""
        yield from super().problems(shape)
        if shape.num_experts_per_token > shape.num_experts:
            yield (
                f"num_experts_per_token={shape.num_experts_per_token} is more than "
                f"num_experts={shape.num_experts}: lower the one or raise the other."
            )

    def feed_forward_width(self, shape: Shape) -> int:
        """Return the width of the dense model over the experts of a token, to the nearest 64.

        So a token multiplies with about as many weights as in the dense model.
        """
        dense = super().feed_forward_width(shape)
        return max(1, round(dense / shape.num_experts_per_token / 64)) * 64

    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return a `MixtralForCausalLM`."""
        from transformers import MixtralConfig, MixtralForCausalLM

        from components.lib.models.blocked_attention import experts

        config = MixtralConfig(
            **common,
            **self.config(shape),
            num_local_experts=shape.num_experts,
            num_experts_per_tok=shape.num_experts_per_token,
        )
        model = MixtralForCausalLM(config)
        model.set_experts_implementation(experts())
        return model
