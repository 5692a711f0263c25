"""Models with random weights: transformers' own classes, in the sizes that a `Shape` asks for."""

from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from components.lib.models.architectures.named import ARCHITECTURES
from components.lib.models.blocked_attention import attention
from components.lib.models.shape import Shape
from components.lib.text.chat import END_OF_TEXT, PADDING, token_id


class SpecialIds(NamedTuple):
    """Token ids that a model's config names."""

    end_of_text: int
    padding: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "SpecialIds":
        """Return those of a tokenizer of the platform."""
        return cls(token_id(tokenizer, END_OF_TEXT), token_id(tokenizer, PADDING))


def build_model(shape: Shape, vocab_size: int, tokens: SpecialIds, seed: int) -> PreTrainedModel:
    """Return a model with random weights and tied embeddings, drawn as N(0, 0.02).

    The matrices that its architecture names start at zero, so that a block begins as the identity.

    Raises:
        ValueError: the sizes do not fit each other.
    """
    architecture = ARCHITECTURES[shape.architecture]
    architecture.check(shape)
    common = {
        "vocab_size": vocab_size,
        "bos_token_id": tokens.end_of_text,
        "eos_token_id": tokens.end_of_text,
        "pad_token_id": tokens.padding,
        "tie_word_embeddings": True,
    }
    torch.manual_seed(seed)
    model = architecture.build(shape, common)
    model.set_attn_implementation(attention())
    _zero(model, architecture.begins_at_zero)
    return model


@torch.no_grad()
def _zero(model: PreTrainedModel, endings: tuple[str, ...]) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith(endings):
            parameter.zero_()
