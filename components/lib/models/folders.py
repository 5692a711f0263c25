"""Models as folders in Hugging Face layout: loaded with proof, saved without surprises, counted."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from components.core.artifacts.models import Checkpoint
from components.core.files import size_of
from components.lib.models.blocked_attention import attention, experts


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
    """Load a model in float32, from safetensors alone and without foreign code.

    It is of the class that its config names, or else a causal language model.

    Raises:
        ValueError: there is no model, transformers does not know its class, or its weights do not
            fit its config.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} has no config.json: it is not a model in Hugging Face layout.")
    config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    loaded = _class_named_by(config, folder).from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation=attention(),
        experts_implementation=experts(),  # of a mixture; others have none
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


def _class_named_by(config: Any, folder: Path) -> Any:
    if not config.architectures:
        return AutoModelForCausalLM
    found = getattr(transformers, config.architectures[0], None)
    if not (isinstance(found, type) and issubclass(found, PreTrainedModel)):
        raise ValueError(
            f"{folder} names the class {config.architectures[0]} in its config.json, and "
            f"transformers {transformers.__version__} has no such model. Save it as one of "
            "transformers' own, or install the version that has it."
        )
    return found


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


def describe(folder: Path, length: int, predicted: float = 1.0) -> Checkpoint:
    """Return the artifact of the model in `folder`, trained on sequences of `length` tokens.

    `predicted` is the share of positions that its output head computed.
    """
    model = load_model(folder)
    return Checkpoint(
        path=folder,
        num_parameters=num_parameters(model),
        num_active_parameters=num_active_parameters(model),
        flops_per_token=flops_per_token(model, length, predicted),
        bytes_on_disk=size_of(folder, "*.safetensors"),
    )


def num_parameters(model: PreTrainedModel) -> int:
    """Return the number of weights; a tied embedding counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def num_active_parameters(model: PreTrainedModel) -> int:
    """Return the number of weights that one token meets: of a mixture, its chosen experts alone."""
    idle = 0
    for name, parameter in model.named_parameters():
        if ".experts." in name:  # (num_experts, ...)
            num_experts = parameter.shape[0]
            idle += parameter.numel() // num_experts * (num_experts - _experts_per_token(model))
    return num_parameters(model) - idle


def _experts_per_token(model: PreTrainedModel) -> int:
    return model.config.num_experts_per_tok


def flops_per_token(model: PreTrainedModel, length: int, predicted: float = 1.0) -> float:
    """Return the FLOPs that training on one token of a sequence of `length` takes.

    6 for each weight that multiplies (a tied embedding counts as the output head) and
    12 x layers x width x length for attention (Chowdhery et al. 2022, PaLM, appendix B), where
    length is at most the window of sliding attention. `predicted` is the share of positions that
    the output head computes: BERT's objective asks it for the masked ones alone.
    """
    config = model.config
    head = config.vocab_size * config.hidden_size
    multiplied = num_active_parameters(model) - _num_looked_up(model) - (1 - predicted) * head
    seen = min(length, getattr(config, "sliding_window", None) or length)
    return 6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * seen


def _num_looked_up(model: PreTrainedModel) -> int:
    """Return the weights of tables that are looked up alone: embeddings that are no output head."""
    head: Any = model.get_output_embeddings()
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    return sum(table.numel() for table in tables if table is not head.weight)
