"""`sliding`: attention to a window (Mistral, Jiang et al. 2023)."""

from typing import TYPE_CHECKING, Any

from components.lib.models.architectures.llama import Llama
from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Sliding(Llama):
    """Llama in which a position sees the last `window` tokens alone."""

    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return a `MistralForCausalLM`."""
        from transformers import MistralConfig, MistralForCausalLM

        config = MistralConfig(**common, **self.config(shape), sliding_window=shape.window)
        return MistralForCausalLM(config)
