"""Low-rank adapters by PEFT: put into a model, saved by themselves, and merged with a proof."""

# B = texts, T = tokens of a text, V = vocabulary

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, inject_adapter_in_model
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from components.lib.models.folders import load_model
from components.lib.models.lora import LoRA
from components.lib.models.nf4 import quantize, round_off

ADAPTER = "adapter"
"""Folder, beside the merged model, that PEFT loads on top of the model it began with."""
MERGE_REPORT = "merge.json"

_PREFIX = "base_model.model."  # what PEFT sets before the names in a file


def adapt(model: PreTrainedModel, lora: LoRA, seed: int) -> None:
    """Put an adapter into each target of `model`, in place; nothing else is trained from then on.

    It changes nothing yet: one of its matrices is zero.

    Raises:
        ValueError: a target is no linear map of this model.
    """
    torch.manual_seed(seed)
    if lora.base == "nf4":
        quantize(model)
    try:
        inject_adapter_in_model(_config(lora), model)
    except ValueError as error:
        raise ValueError(
            f"An adapter for {list(lora.targets)} does not fit this {type(model).__name__}: "
            f"{error} Name linear maps that it has, or leave targets out."
        ) from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def _config(lora: LoRA) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore - a float does as well
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        use_rslora=lora.method == "rslora",
        use_dora=lora.method == "dora",
    )


def save_adapter(
    model: PreTrainedModel, lora: LoRA, base: str, weights: dict[str, Tensor], folder: Path
) -> None:
    """Save the adapter in `weights`, those of all of `model`, as PEFT reads it.

    `base` says in its config what it belongs to.
    """
    folder.mkdir(exist_ok=True)
    own: dict[str, Tensor] = get_peft_model_state_dict(model, state_dict=weights)
    tensors = {f"{_PREFIX}{name}": value.contiguous() for name, value in own.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = _config(lora)
    config.base_model_name_or_path = base
    config.inference_mode = True
    config.save_pretrained(str(folder))


def merged(base: Path, adapter: Path, lora: LoRA) -> PreTrainedModel:
    """Return the model in `base` with the adapter added into its weights, in float32."""
    model: Any = PeftModel.from_pretrained(_base(base, lora), str(adapter))
    return model.merge_and_unload(safe_merge=True)


def _base(folder: Path, lora: LoRA) -> PreTrainedModel:
    """Return the model in `folder` as the adapter saw it, in float32."""
    model = load_model(folder)
    if lora.base == "nf4":
        round_off(model)
    return model


@torch.no_grad()
def prove_merge(base: Path, out: Path, texts: Tensor, lora: LoRA) -> None:
    """Hold the merged model in `out`, as it is on disk, against its adapter on top of `base`.

    `texts` are token ids, (B, T). Writes `merge.json`.

    Raises:
        ValueError: the logits differ by more than `lora` allows.
    """
    adapter: Any = PeftModel.from_pretrained(_base(base, lora), str(out / ADAPTER)).eval()
    together: Any = load_model(out)
    expected: Tensor = adapter(input_ids=texts, use_cache=False).logits  # (B, T, V)
    found: Tensor = together(input_ids=texts, use_cache=False).logits
    before: Tensor = adapter.unload()(input_ids=texts, use_cache=False).logits
    scale = float(expected.abs().max())
    report = {
        "tokens": texts.numel(),
        "largest_difference": float((found - expected).abs().max()),
        "largest_logit": scale,
        "same_greedy_tokens": float((found.argmax(-1) == expected.argmax(-1)).float().mean()),
        "moved_by_the_adapter": float((expected - before).abs().max()),
    }
    (out / MERGE_REPORT).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    share = report["largest_difference"] / scale
    if not share <= lora.max_merge_difference:
        raise ValueError(
            f"The merged model is not the adapter: on {report['tokens']} tokens a logit differs by "
            f"{report['largest_difference']:.4g}, {share:.2%} of the largest, and "
            f"{lora.max_merge_difference:.2%} is allowed (max_merge_difference). The adapter is in "
            f"{out / ADAPTER}; use it as it is."
        )
