"""`qwen3` (Yang et al. 2025): Llama with normalised queries and keys."""

from typing import TYPE_CHECKING, Any

from components.lib.models.architectures.llama import Llama
from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Qwen3(Llama):
    """Llama whose attention does not depend on the size of queries and keys."""

    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return a `Qwen3ForCausalLM`; its config says the size of a head by itself."""
        from transformers import Qwen3Config, Qwen3ForCausalLM

        head_size = shape.width // shape.num_heads
        return Qwen3ForCausalLM(Qwen3Config(**common, **self.config(shape), head_dim=head_size))
