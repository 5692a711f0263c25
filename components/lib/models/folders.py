"""Models as folders in Hugging Face layout: loaded with proof, saved without surprises, counted."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from components.core.artifacts.models import Checkpoint
from components.core.files import size_of
from components.lib.models.blocked_attention import attention, experts
from components.lib.models.companions import copy_companions
from components.lib.models.config import raw_config

_WITH_SINKS = ("gpt_oss",)  # a learnt logit beside those of the keys, in every softmax


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a fast tokenizer as its `tokenizer.json` is.

    The class that `tokenizer_config.json` names does not count: those of transformers 5 for Llama
    and Gemma build a tokenizer of their own from the vocabulary, which may give other ids, and name
    special tokens that the vocabulary may not have.

    Raises:
        ValueError: the folder has none.
    """
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(
            f"{folder} has no tokenizer.json, so its model cannot read text. "
            "Save the tokenizer it was trained with into the same folder."
        )
    return PreTrainedTokenizerFast.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )


def load_model(folder: Path) -> PreTrainedModel:
    """Load a model in float32, from safetensors alone and without foreign code.

    It is of the class that its config names, or else a causal language model.

    Raises:
        ValueError: there is no model, transformers does not know its class, or its weights are
            damaged or do not fit its config.
    """
    config = _config(folder)
    check_weights(folder)
    kind = _class_named_by(config, folder)
    loaded = kind.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation=attention_of(kind, config),
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


def _config(folder: Path) -> Any:
    raw = raw_config(folder)
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (ValueError, KeyError, OSError, TypeError) as error:
        if raw.get("model_type") in CONFIG_MAPPING:
            raise ValueError(f"{folder / 'config.json'} is not valid: {error}") from error
        if "auto_map" in raw:
            raise ValueError(
                f"The model in {folder} needs code of its own (auto_map), and code that comes with "
                "a model is never run. Take one of an architecture that transformers has."
            ) from error
        raise ValueError(
            f"{folder} has model_type={raw.get('model_type')!r} in its config.json, which "
            f"transformers {transformers.__version__} does not know. Install the version that has "
            "it, or take another model."
        ) from error


def check_weights(folder: Path) -> None:
    """Look at the weights of a model, without loading any: whole, and nothing but safetensors.

    Raises:
        ValueError: a file is missing or cut short, or there is none but pickles.
    """
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if not (folder / "model.safetensors").is_file() and index.is_file():
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        pickles = [file.name for kind in ("*.bin", "*.pt", "*.pth") for file in folder.glob(kind)]
        remedy = "Save the model there with `save_pretrained` of transformers."
        if pickles:
            remedy = (
                f"{sorted(pickles)[0]} is a pickle, which can run any code and is not read: load "
                "it where you trust it, and save it again as safetensors."
            )
        raise ValueError(f"{folder} has no {', '.join(missing)} (safetensors). {remedy}")
    for name in sorted(names):
        try:
            with safe_open(folder / name, framework="numpy"):
                pass
        except Exception as error:  # safetensors raises one of its own
            raise ValueError(
                f"{folder / name} is damaged or cut short ({error}). Fetch or save it again."
            ) from error


def attention_of(kind: Any, config: Any) -> str | None:
    """Return the attention for a class of models: ours where it computes what they ask for.

    None leaves the choice to transformers, for classes with an attention function of their own.
    """
    text = config.get_text_config()
    if getattr(text, "attn_logit_softcapping", None) or text.model_type in _WITH_SINKS:
        return "eager"  # the others leave the cap, or the sinks, out
    return attention() if getattr(kind, "_supports_attention_backend", False) else None


def _class_named_by(config: Any, folder: Path) -> Any:
    if not config.architectures:
        if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise ValueError(
                f"{folder} has model_type={config.model_type!r}, of which transformers has no "
                "model that continues text. Take a causal language model."
            )
        return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
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
    beside: Path,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Save weights as safetensors, config and tokenizer, so that `folder` stands on its own.

    The tokenizer and what else stands `beside` the model that it was made of are copied byte by
    byte. `weights` are those to save if `model` itself holds only a part of them.
    """
    if model.can_generate():  # transformers refuses to write some that it reads
        model.generation_config = GenerationConfig.from_model_config(model.config)
    model.save_pretrained(folder, state_dict=weights)
    copy_companions(beside, folder)


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
    return model.config.get_text_config().num_experts_per_tok


def flops_per_token(model: PreTrainedModel, length: int, predicted: float = 1.0) -> float:
    """Return the FLOPs that training on one token of a sequence of `length` takes.

    6 for each weight that multiplies (a tied embedding counts as the output head) and
    12 x layers x width x length for attention (Chowdhery et al. 2022, PaLM, appendix B), where
    length is at most the window of sliding attention. `predicted` is the share of positions that
    the output head computes: BERT's objective asks it for the masked ones alone.
    """
    config: Any = model.config.get_text_config()
    head = config.vocab_size * config.hidden_size
    multiplied = num_active_parameters(model) - _num_looked_up(model) - (1 - predicted) * head
    seen = min(length, getattr(config, "sliding_window", None) or length)
    return 6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * seen


def _num_looked_up(model: PreTrainedModel) -> int:
    """Return the weights of tables that are looked up alone: embeddings that are no output head."""
    head: Any = model.get_output_embeddings()
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    return sum(table.numel() for table in tables if head is None or table is not head.weight)
