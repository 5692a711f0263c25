"""What a model is made of: its architecture by name, and its sizes."""

from typing import Literal

from pydantic import Field

from components.core.artifacts.base import Frozen

ArchitectureName = Literal["llama", "qwen3", "gpt2", "sliding", "moe", "bert"]


class ModelKind(Frozen):
    """The architecture of a model and its options, apart from its sizes."""

    architecture: ArchitectureName = "llama"
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


class Shape(ModelKind):
    """The architecture of a model and its sizes; the vocabulary comes with the tokenizer."""

    width: int = Field(default=256, ge=16)
    """Size of the residual stream; a multiple of `num_heads`."""
    num_layers: int = Field(default=4, ge=1)
    """Blocks of attention and feed-forward."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads."""
    num_key_value_heads: int = Field(default=2, ge=1)
    """Heads of keys and values; fewer than `num_heads` is grouped-query attention."""
