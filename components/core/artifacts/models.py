"""Artifacts that are models: trained, compressed, released."""

from pydantic import Field

from components.core.artifacts.base import Artifact


class Checkpoint(Artifact):
    """A model and its tokenizer in Hugging Face layout, weights in safetensors."""

    num_parameters: int
    """Trainable parameters; a tied embedding counts once."""
    num_active_parameters: int
    """Those that compute a token: of a mixture of experts, its experts alone."""
    flops_per_token: float
    """Forward and backward, at the sequence length it was trained with."""
    bytes_on_disk: int
    """Size of the weights."""


class Encoder(Checkpoint):
    """A checkpoint that reads text both ways: it fills in what is masked, and continues nothing."""


class CompressedModel(Artifact):
    """An exported model beside its tokenizer: of ONNX Runtime, unless its class says another."""

    num_parameters: int
    """Parameters of the model that was exported."""
    bytes_on_disk: int
    """Size of the exported weights and graph."""
    decode_tokens_per_second: float
    """Greedy decoding at batch 1, measured on the exported model."""
    original_bytes_on_disk: int
    """Size of the weights before."""
    original_decode_tokens_per_second: float
    """The same decoding by transformers in float32, measured in turns with the exported model."""
    bits: dict[str, int] = Field(default_factory=dict)
    """Bits of a weight of every matrix that the graph multiplies with, by its node."""


class GGUFModel(CompressedModel):
    """A model as one GGUF file, `model.gguf`, that llama.cpp runs; the tokenizer is in it."""

    quantization: str
    """How its matrices are stored."""
    tensors: dict[str, int]
    """Tensors of the file by the type they are stored in, as read back from it."""
    context_length: int
    """Longest context that the file declares, in tokens: of attention to a window, the window."""
    disagreement: float
    """Mean difference from the original's nats of a token, on random ids, as a share of them."""
    same_choice: float
    """Share of beginnings of a text after which both find the same next token the likeliest."""


class Release(Artifact):
    """A released model: Hugging Face layout, with its export under `onnx/` or `gguf/`."""

    name: str
    """Registered model."""
    registered_version: int
    """Its version in the MLflow registry."""
    alias: str
    """The alias that was moved to this version."""
