"""Write a model in Hugging Face layout as one GGUF file, by the package gguf.

The weights of a row are cut into blocks of 32 that share a scale (and, in q4_1 and q5_1, a least
value), rounded to nearest. The numbers that gguf computes are those of llama.cpp's own quantizer.
"""

# R = rows, C = columns of a weight

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.compress.gguf.demands import ARCHITECTURES, gguf_problems, rope_of, window_of
from components.compress.gguf.tokenizer import read_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

GGUFType = Literal["f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

HEAD: Final = "output.weight"
EMBEDDING: Final = "token_embd.weight"
_NORM_TYPE: Final = "F32"
_HEAD_TYPE: Final = "Q8_0"  # of a 4- or 5-bit file: llama.cpp's quantizer spares the head as well
_KEEPS_THE_HEAD: Final = ("f16", "q8_0")


class Tensor(NamedTuple):
    """A tensor of the file."""

    name: str
    """In llama.cpp's words."""
    value: NDArray[np.float32]
    """(R, C), or (C,)."""
    type: str
    """gguf's name of how it is stored: F32, F16, Q8_0, ..."""


def export_gguf(model_folder: Path, file: Path, quantization: GGUFType) -> None:
    """Write the model in `model_folder` to `file`. The same model gives the same bytes.

    Raises:
        ValueError: its class, its widths or its tokenizer are none that llama.cpp computes rightly.
    """
    from components.lib.models.folders import load_model, load_tokenizer

    model, tokenizer = load_model(model_folder), load_tokenizer(model_folder)
    config = config_of(model)
    if problems := gguf_problems(config, in_blocks=quantization != "f16"):
        raise ValueError(f"{model_folder} cannot be exported to GGUF. {' '.join(problems)}")
    gguf: Any = importlib.import_module("gguf")
    architecture = ARCHITECTURES[config["architectures"][0]]
    writer = gguf.GGUFWriter(file, architecture)
    _write_sizes(writer, config, quantization)
    _write_tokenizer(writer, model_folder, tokenizer, config)
    for tensor in tensors(model, quantization):
        stored = gguf.GGMLQuantizationType[tensor.type]
        writer.add_tensor(tensor.name, gguf.quantize(tensor.value, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def config_of(model: "PreTrainedModel") -> dict[str, Any]:
    """Return the config of a loaded model with the defaults of its class, and its class."""
    return {**model.config.to_dict(), "architectures": [type(model).__name__]}


def context_of(config: Mapping[str, Any]) -> int:
    """Return the context that the file declares, in tokens.

    llama.cpp lets each of these classes see everything. What attends to a window is computed
    rightly as long as a text is no longer, so the window is the longest context.
    """
    window = window_of(config)
    return min(config["max_position_embeddings"], window or config["max_position_embeddings"])


def _write_sizes(writer: Any, config: Mapping[str, Any], quantization: GGUFType) -> None:
    gguf: Any = importlib.import_module("gguf")
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{quantization.upper()}"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(context_of(config))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(head_size)
    rope = rope_of(config)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))


def _write_tokenizer(
    writer: Any, folder: Path, tokenizer: "PreTrainedTokenizerFast", config: Mapping[str, Any]
) -> None:
    from components.lib.models.config import end_ids
    from components.lib.text.chat import answer_end, beginning

    found = read_tokenizer(folder, config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(found.pattern)
    writer.add_token_list(found.tokens)
    writer.add_token_types(found.kinds)
    writer.add_token_merges(found.merges)
    begins = beginning(tokenizer)
    if len(begins) > 1 or (begins and begins[0] != tokenizer.bos_token_id):
        raise ValueError(
            f"The tokenizer of {folder} sets {begins} before every text, and a GGUF file can say "
            "its bos token alone. Export to ONNX."
        )
    writer.add_add_bos_token(bool(begins))
    writer.add_add_eos_token(False)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    template = template_of(tokenizer)
    ends = end_ids(folder)
    if template is not None:
        writer.add_chat_template(template)
        end = answer_end(tokenizer)
        writer.add_eot_token_id(end)
        ends = ends | {end}
    if (eos := tokenizer.eos_token_id) is None:
        eos = min(ends, default=None)
    if eos is None:
        raise ValueError(
            f"Nothing in {folder} names a token that ends a text, so that llama.cpp would not "
            "stop. Name one as eos_token in its tokenizer_config.json."
        )
    writer.add_eos_token_id(eos)


def template_of(tokenizer: "PreTrainedTokenizerFast") -> str | None:
    """Return the chat template of a tokenizer; of several, the default one."""
    found: Any = tokenizer.chat_template
    return found.get("default") if isinstance(found, dict) else found


def tensors(model: "PreTrainedModel", quantization: GGUFType) -> Iterator[Tensor]:
    """Yield the tensors of a model as llama.cpp names and orders them, in float32."""
    gguf: Any = importlib.import_module("gguf")
    config = config_of(model)
    architecture = ARCHITECTURES[config["architectures"][0]]
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[architecture], config["num_hidden_layers"])
    weights: dict[str, Any] = model.state_dict()
    tied = weights["lm_head.weight"].data_ptr() == weights["model.embed_tokens.weight"].data_ptr()
    for theirs, weight in weights.items():
        name = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"llama.cpp has no name for the weight {theirs}. Export to ONNX.")
        if name == HEAD and tied:
            continue
        value: NDArray[np.float32] = weight.float().numpy()
        if architecture == "llama" and ".attn_q." in name:
            value = _interleaved(value, config["num_attention_heads"])
        if architecture == "llama" and ".attn_k." in name:
            value = _interleaved(value, config["num_key_value_heads"])
        yield Tensor(name, np.ascontiguousarray(value), _type_of(name, value, quantization, tied))
    yield from _frequencies(config)


def _type_of(name: str, value: NDArray[np.float32], quantization: GGUFType, tied: bool) -> str:
    if value.ndim == 1:
        return _NORM_TYPE
    if name == (EMBEDDING if tied else HEAD) and quantization not in _KEEPS_THE_HEAD:
        return _HEAD_TYPE
    return quantization.upper()


def _interleaved(value: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Return rows (R, ...) of queries or keys in the order that llama.cpp rotates.

    transformers turns feature i of a head with i + half, llama.cpp's llama turns neighbours.
    """
    halves = value.reshape(num_heads, 2, value.shape[0] // num_heads // 2, *value.shape[1:])
    return halves.swapaxes(1, 2).reshape(value.shape)


def _frequencies(config: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield what Llama 3 divides each frequency of its positions by."""
    if rope_of(config).get("rope_type") != "llama3":
        return
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    made = AutoConfig.for_model(**config)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](made, None)
    size = 2 * len(scaled)
    plain = float(rope_of(config)["rope_theta"]) ** (-np.arange(0, size, 2) / size)
    factors = plain / scaled.double().numpy()
    yield Tensor("rope_freqs.weight", factors.astype(np.float32), _NORM_TYPE)
