"""What the int8 export asks of a model: told from its config, so before anything is trained."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from components.lib.models.shape import Shape

HEAD_SIZE_STEP: Final = 16
"""The builder writes any size; GroupQueryAttention with rotary embedding takes multiples of 16."""

_CLASSES: Final = {
    "llama": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "sliding": "MistralForCausalLM",
}  # of the architectures that a recipe can train, those that are exported
_ALSO_EXPORTED: Final = (  # other bases whose exports were seen to score and write as they do
    "Gemma2ForCausalLM",
    "GemmaForCausalLM",
    "GraniteForCausalLM",
    "Qwen2ForCausalLM",
    "SmolLM3ForCausalLM",
)


def export_problems(shape: Shape) -> list[str]:
    """Return what the export would refuse in a model of this shape, a sentence each."""
    size, rest = divmod(shape.width, shape.num_heads)
    problems: list[str] = []
    if shape.architecture not in _CLASSES:
        problems.append(
            f"The int8 export knows no architecture={shape.architecture}: "
            f"take one of {', '.join(_CLASSES)}, or leave compression out."
        )
    if rest or size % HEAD_SIZE_STEP:
        problems.append(
            f"width={shape.width} over num_heads={shape.num_heads} gives heads of "
            f"{shape.width / shape.num_heads:g}, and the int8 export takes multiples of "
            f"{HEAD_SIZE_STEP}: take {_remedies(shape)}."
        )
    return problems


def config_problems(config: Mapping[str, Any]) -> list[str]:
    """Return what the export refuses in a model with this `config.json`, a sentence each."""
    return list(_config_problems(config))


def _config_problems(config: Mapping[str, Any]) -> Iterator[str]:
    (name, *_) = config.get("architectures") or ["no named architecture"]
    known = sorted({*_CLASSES.values(), *_ALSO_EXPORTED})
    if name not in known:
        yield f"It is {name}, and the int8 export knows {', '.join(known)}."
        return  # its sizes may have other names
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if size % HEAD_SIZE_STEP:
        yield (
            f"Its attention heads are {size} wide, and the int8 export takes multiples of "
            f"{HEAD_SIZE_STEP}: train with another width or number of heads."
        )


def _remedies(shape: Shape) -> str:
    """Return the next width that fits these heads, and the nearest number of heads that fits it."""
    step = HEAD_SIZE_STEP * shape.num_heads
    width = f"width={-(-shape.width // step) * step}"
    fitting = [
        number
        for number in range(1, shape.width // HEAD_SIZE_STEP + 1)
        if shape.width % (number * HEAD_SIZE_STEP) == 0
    ]
    if not fitting:
        return width
    return f"{width} or num_heads={min(fitting, key=lambda n: abs(n - shape.num_heads))}"
