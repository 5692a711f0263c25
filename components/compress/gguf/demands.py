"""What the GGUF export asks of a model, told from its config."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

BLOCK: Final = 32
"""Weights of a row that share a scale, in every type that the export writes."""

ARCHITECTURES: Final = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",  # llama.cpp has no class of its own for it
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
"""llama.cpp's name of each class that is exported."""

_ROPE = ("default", "linear", "llama3")


def gguf_problems(config: Mapping[str, Any], in_blocks: bool) -> list[str]:
    """Return what the export refuses in a model with this `config.json`, a sentence each.

    `in_blocks`: whether weights are to share scales, 32 of a row.
    """
    (name, *_) = config.get("architectures") or ["no named architecture"]
    if name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        return [f"It is {name}, and the GGUF export knows {known}."]
    found = list(_kinds(config))
    return found + list(_widths(config)) if in_blocks else found


def _kinds(config: Mapping[str, Any]) -> Iterator[str]:
    if (act := config.get("hidden_act", "silu")) != "silu":
        yield f"Its feed-forward networks use {act}, and llama.cpp computes silu in this class."
    rope = rope_of(config)
    if (kind := rope.get("rope_type", "default")) not in _ROPE:
        yield (
            f"Its rotary positions are scaled by {kind!r}, and the GGUF export knows "
            f"{', '.join(_ROPE)}."
        )
    if config.get("mlp_bias"):
        yield "Its feed-forward networks have biases, which llama.cpp leaves out in this class."


def _widths(config: Mapping[str, Any]) -> Iterator[str]:
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    widths = {
        "hidden_size": config["hidden_size"],
        "intermediate_size": config["intermediate_size"],
        "num_attention_heads x head_dim": heads * size,
    }
    for name, width in widths.items():
        if width % BLOCK:
            yield (
                f"Its {name} is {width}, and {BLOCK} weights of a row share a scale: train with "
                f"{-(-width // BLOCK) * BLOCK}, or export with quantization='f16'."
            )


def rope_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a config says of rotary positions, wherever its transformers wrote it."""
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    old = {"rope_type": said["type"]} if "type" in said and "rope_type" not in said else {}
    return {"rope_theta": config.get("rope_theta", 10_000.0), **old, **said}


def window_of(config: Mapping[str, Any]) -> int | None:
    """Return the window that any layer's attention is cut to, None if each sees everything."""
    kinds = config.get("layer_types")
    window = config.get("sliding_window")
    if not config.get("use_sliding_window", True):
        return None
    if kinds is not None and "sliding_attention" not in kinds:
        return None
    return window
