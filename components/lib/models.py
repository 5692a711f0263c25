"""Models as folders in Hugging Face layout: built, loaded with proof, saved without surprises."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from components.lib.device import attention


def build_llama(
    vocab_size: int,
    width: int,
    num_layers: int,
    num_heads: int,
    num_key_value_heads: int,
    max_length: int,
    end_of_text: int,
    padding: int,
    seed: int,
) -> LlamaForCausalLM:
    """Return a Llama-type decoder (Touvron et al. 2023) with random weights and tied embeddings.

    The feed-forward width is 8/3 of `width`, rounded up to a multiple of 64, as in Llama. The
    projections that write to the residual stream start at zero, so that every block begins as the
    identity; the others as N(0, 0.02).
    """
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=-(-width * 8 // 3 // 64) * 64,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        num_key_value_heads=num_key_value_heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        pad_token_id=padding,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    model.set_attn_implementation(attention())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a fast tokenizer.

    Raises:
        ValueError: the folder has none.
    """
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(
            f"{folder} has no tokenizer.json, so its model cannot read text. "
            "Save the tokenizer it was trained with into the same folder."
        )
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def load_model(folder: Path) -> PreTrainedModel:
    """Load a causal language model in float32, from safetensors alone and without foreign code.

    Raises:
        ValueError: there is no model, or its weights do not fit its config.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} has no config.json: it is not a model in Hugging Face layout.")
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation=attention(),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # they are refused below, by name
        output_loading_info=True,
    )
    model, loading = loaded  # with `output_loading_info` it is a pair, whatever the types say
    wrong = {kind: sorted(keys) for kind, keys in loading.items() if keys}
    if wrong:
        raise ValueError(f"The weights in {folder} do not fit its config.json: {wrong}.")
    return model.eval()


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Save weights as safetensors, config and tokenizer, so that `folder` stands on its own.

    `weights` are those to save if `model` itself holds only a part of them.
    """
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def num_parameters(model: PreTrainedModel) -> int:
    """Return the number of weights; a tied embedding counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def flops_per_token(model: PreTrainedModel, length: int) -> float:
    """Return the FLOPs that training on one token of a sequence of `length` takes.

    6 for each weight that multiplies (the tied embedding counts as the output head) and
    12 x layers x width x length for attention (Chowdhery et al. 2022, PaLM, appendix B).
    """
    config = model.config
    return 6 * num_parameters(model) + 12 * config.num_hidden_layers * config.hidden_size * length
