"""What a model's `config.json` says, read alike for every architecture that transformers knows."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

Reads = Literal["decoder", "encoder", "encoder-decoder", "other"]

_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
_NUM_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_DECODERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_ENCODERS = ("ForMaskedLM", "ForPreTraining")


def raw_config(folder: Path) -> dict[str, Any]:
    """Return the `config.json` of a model.

    Raises:
        ValueError: there is none, or it is no JSON object.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(f"{folder} has no config.json: it is not a model in Hugging Face layout.")
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}). Save the model again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} is no JSON object. Save the model again.")
    return found


def reads(config: Mapping[str, Any]) -> Reads:
    """Return how a model reads text, by the class that its config names."""
    if config.get("is_encoder_decoder"):
        return "encoder-decoder"
    (name, *_) = config.get("architectures") or ["AutoModelForCausalLM"]
    if name.endswith(_DECODERS):
        return "decoder"
    return "encoder" if name.endswith(_ENCODERS) else "other"


def of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a config that is about text: of a model that sees pictures too, too."""
    return config.get("text_config") or config


def context_length(config: Mapping[str, Any]) -> int:
    """Return the longest context that a config declares, in tokens.

    Raises:
        ValueError: it declares none.
    """
    part = of_text(config)
    for name in _LENGTHS:
        if isinstance(length := part.get(name), int) and length > 0:
            return length
    raise ValueError(
        f"The config of this {config.get('model_type', 'model')} declares no longest context: none "
        f"of {', '.join(_LENGTHS)}. Add max_position_embeddings to its config.json."
    )


def num_layers(config: Mapping[str, Any]) -> int:
    """Return the number of layers that a config declares.

    Raises:
        ValueError: it declares none.
    """
    part = of_text(config)
    for name in _NUM_LAYERS:
        if isinstance(number := part.get(name), int) and number > 0:
            return number
    raise ValueError(
        f"The config of this {config.get('model_type', 'model')} declares no number of layers: "
        f"none of {', '.join(_NUM_LAYERS)}. Add num_hidden_layers to its config.json."
    )


def ids(*values: Any) -> frozenset[int]:
    """Return the token ids in values that are each one, several, or none."""
    found: set[int] = set()
    for value in values:
        listed: Iterable[Any] = value if isinstance(value, list | tuple) else (value,)
        found.update(each for each in listed if isinstance(each, int) and each >= 0)
    return frozenset(found)


def end_ids(folder: Path) -> frozenset[int]:
    """Return every id that ends an answer, as its config and its generation config name them."""
    file = folder / "generation_config.json"
    generation = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    named = of_text(raw_config(folder)).get("eos_token_id")
    return ids(raw_config(folder).get("eos_token_id"), named, generation.get("eos_token_id"))
