"""What a model is made of: its kind and its sizes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from components.core.artifacts.base import Frozen

Architecture = Literal["llama", "qwen3", "gpt2", "sliding", "moe", "bert"]

_ROTARY = ("llama", "qwen3", "sliding", "moe")


class Kind(Frozen):
    """The architecture of a model, apart from its sizes."""

    architecture: Architecture = "llama"
    """`llama` (Touvron et al. 2023); `qwen3`: the same with normalised queries and keys (Yang et
    al. 2025); `gpt2` (Radford et al. 2019); `sliding`: attention to a window (Mistral, Jiang et
    al. 2023); `moe`: a mixture of experts (Mixtral, Jiang et al. 2024); `bert`: an encoder that
    fills in masked tokens (Devlin et al. 2018)."""
    max_length: int = Field(default=512, ge=8)
    """Longest context that the model declares, in tokens."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of activations that training zeroes: everywhere in `gpt2` and `bert`, which were
    published with it; of the attention weights alone in the others."""
    window: int = Field(default=128, ge=1)
    """Tokens that a position of `sliding` attends to, itself among them."""
    num_experts: int = Field(default=8, ge=2)
    """Feed-forward networks in each block of `moe`."""
    num_experts_per_token: int = Field(default=2, ge=1)
    """Those of them that compute a token."""


class Shape(Kind):
    """The architecture of a model and its sizes; the vocabulary comes with the tokenizer."""

    width: int = Field(default=256, ge=16)
    """Size of the residual stream; a multiple of `num_heads`."""
    num_layers: int = Field(default=4, ge=1)
    """Blocks of attention and feed-forward."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads."""
    num_key_value_heads: int = Field(default=2, ge=1)
    """Heads of keys and values; fewer than `num_heads` is grouped-query attention."""

    def check(self) -> None:
        """Raise one ValueError that names all that does not fit, with the remedies."""
        problems = list(self._problems())
        if problems:
            raise ValueError(f"A {self.architecture} model cannot be built: {' '.join(problems)}")

    def _problems(self) -> Iterator[str]:
        if self.width % self.num_heads:
            yield (
                f"{self.width=} is not a multiple of {self.num_heads=}: "
                f"take a width of {self._next_width()}."
            )
        elif self.architecture in _ROTARY and self.width // self.num_heads % 2:
            yield (
                f"{self.width=} over {self.num_heads=} gives heads of "
                f"{self.width // self.num_heads}, and rotary embedding turns pairs: "
                f"take a width of {self._next_width()}."
            )
        if self.architecture in ("gpt2", "bert"):
            if self.num_key_value_heads != self.num_heads:
                yield (
                    f"{self.num_key_value_heads=} differs from {self.num_heads=}, and "
                    f"{self.architecture} has no grouped queries: set both to {self.num_heads}."
                )
        elif self.num_heads % self.num_key_value_heads:
            yield (
                f"{self.num_heads=} is not a multiple of {self.num_key_value_heads=}: "
                "take a divisor."
            )
        if self.architecture == "moe" and self.num_experts_per_token > self.num_experts:
            yield (
                f"{self.num_experts_per_token=} is more than {self.num_experts=}: "
                "lower the one or raise the other."
            )

    def _next_width(self) -> int:
        """Return the least width from this one on that gives heads of an even size."""
        return -(-self.width // (2 * self.num_heads)) * 2 * self.num_heads
