"""Models with random weights: transformers' own classes, in the sizes that a `Shape` asks for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from transformers import (
    BertConfig,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from components.lib.models.blocked_attention import attention, experts
from components.lib.models.shape import Architecture, Shape
from components.lib.text.chat import END_OF_TEXT, PADDING, token_id

# what writes to the residual stream: Llama's and GPT-2's names, and a stack of all experts
_INTO_RESIDUAL = ("o_proj.weight", "down_proj.weight", "c_proj.weight", "experts.down_proj")


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

    In decoders the projections that write to the residual stream start at zero, so that every
    block begins as the identity. BERT normalises behind the sum and keeps the published start.

    Raises:
        ValueError: the sizes do not fit each other.
    """
    shape.check()
    common = {
        "vocab_size": vocab_size,
        "bos_token_id": tokens.end_of_text,
        "eos_token_id": tokens.end_of_text,
        "pad_token_id": tokens.padding,
        "tie_word_embeddings": True,
    }
    torch.manual_seed(seed)
    model = _BUILDERS[shape.architecture](shape, common)
    model.set_attn_implementation(attention())
    if shape.architecture == "moe":
        model.set_experts_implementation(experts())
    if shape.architecture != "bert":
        _begin_as_identity(model)
    return model


def feed_forward_width(shape: Shape) -> int:
    """Return the inner width of one feed-forward network.

    GPT-2 and BERT: 4 x width. Gated ones: 8/3 of the width, up to a multiple of 64, as in Llama.
    An expert has that divided by the experts of a token, to the nearest 64, so that a token
    multiplies with about as many weights as in the dense model.
    """
    if shape.architecture in ("gpt2", "bert"):
        return 4 * shape.width
    dense = -(-shape.width * 8 // 3 // 64) * 64
    if shape.architecture == "moe":
        return max(1, round(dense / shape.num_experts_per_token / 64)) * 64
    return dense


@torch.no_grad()
def _begin_as_identity(model: PreTrainedModel) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith(_INTO_RESIDUAL):
            parameter.zero_()


def _llama_sizes(shape: Shape) -> dict[str, Any]:
    """Return what the configs of all Llama-type decoders take."""
    return {
        "hidden_size": shape.width,
        "intermediate_size": feed_forward_width(shape),
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_key_value_heads,
        "max_position_embeddings": shape.max_length,
        "attention_dropout": shape.dropout,
    }


def _llama(shape: Shape, common: dict[str, Any]) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**common, **_llama_sizes(shape)))


def _qwen3(shape: Shape, common: dict[str, Any]) -> PreTrainedModel:
    head_size = shape.width // shape.num_heads
    return Qwen3ForCausalLM(Qwen3Config(**common, **_llama_sizes(shape), head_dim=head_size))


def _sliding(shape: Shape, common: dict[str, Any]) -> PreTrainedModel:
    config = MistralConfig(**common, **_llama_sizes(shape), sliding_window=shape.window)
    return MistralForCausalLM(config)


def _moe(shape: Shape, common: dict[str, Any]) -> PreTrainedModel:
    config = MixtralConfig(
        **common,
        **_llama_sizes(shape),
        num_local_experts=shape.num_experts,
        num_experts_per_tok=shape.num_experts_per_token,
    )
    return MixtralForCausalLM(config)


def _gpt2(shape: Shape, common: dict[str, Any]) -> PreTrainedModel:
    config = GPT2Config(
        **common,
        n_embd=shape.width,
        n_inner=feed_forward_width(shape),
        n_layer=shape.num_layers,
        n_head=shape.num_heads,
        n_positions=shape.max_length,
        resid_pdrop=shape.dropout,
        embd_pdrop=shape.dropout,
        attn_pdrop=shape.dropout,
    )
    return GPT2LMHeadModel(config)


def _bert(shape: Shape, common: dict[str, Any]) -> PreTrainedModel:
    config = BertConfig(
        **common,
        hidden_size=shape.width,
        intermediate_size=feed_forward_width(shape),
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        max_position_embeddings=shape.max_length,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
    )
    return BertForPreTraining(config)


_BUILDERS: dict[Architecture, Callable[[Shape, dict[str, Any]], PreTrainedModel]] = {
    "llama": _llama,
    "qwen3": _qwen3,
    "sliding": _sliding,
    "moe": _moe,
    "gpt2": _gpt2,
    "bert": _bert,
}
