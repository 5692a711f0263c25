"""A GGUF file -> a model in Hugging Face layout, with its weights in float32.

transformers can neither train nor save a model whose weights are still in GGUF's blocks, so they
are unpacked once. What the file says of the tokenizer is held against what came of it.
"""

import importlib
import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedTokenizerFast

_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_SPECIAL = {"bos": "bos_token_id", "eos": "eos_token_id", "pad": "padding_token_id"}


def import_gguf(file: Path, out: Path) -> dict[str, Any]:
    """Write the model in `file` to `out`: config, safetensors and tokenizer; return its metadata.

    Raises:
        ValueError: it is cut short, of an architecture or a kind of tokenizer that transformers
            does not read, or what it says of its tokenizer is not what came of it.
    """
    metadata = read_metadata(file)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
        model, loading = loaded
        tokenizer = AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, local_files_only=True
        )
    except Exception as error:  # each kind of architecture and tokenizer fails in its own way
        kind = metadata.get("general.architecture")
        raise ValueError(
            f"transformers cannot read {file}, which has architecture {kind!r} and a tokenizer of "
            f"the kind {metadata.get('tokenizer.ggml.model')!r} ({_short(error)}). Take the model "
            "in safetensors."
        ) from error
    if wrong := {kind: sorted(keys) for kind, keys in loading.items() if keys}:
        raise ValueError(f"The weights in {file} do not fit its architecture: {wrong}.")
    _check_tokenizer(tokenizer, metadata, file)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return metadata


def read_metadata(file: Path) -> dict[str, Any]:
    """Return what a GGUF file says of itself, by key; long lists are left out.

    Raises:
        ValueError: it is no GGUF file, one of several parts, or cut short.
    """
    if parts := _PART.search(file.name):
        raise ValueError(
            f"{file} is one of {int(parts[1])} parts. Join them with `llama-gguf-split --merge`."
        )
    try:
        gguf: Any = importlib.import_module("gguf")
    except ImportError as error:
        raise ValueError(
            "Reading a GGUF file takes the package gguf: pip install -c constraints.txt gguf."
        ) from error
    try:
        reader = gguf.GGUFReader(file)
        last = max((int(t.data_offset + t.n_bytes) for t in reader.tensors), default=0)
        fields = {name: field for name, field in reader.fields.items() if len(field.data) < 256}
        found = {name: field.contents() for name, field in fields.items()}
    except Exception as error:  # the reader maps whatever the header says
        raise ValueError(
            f"{file} is no GGUF file, or is cut short ({_short(error)}). Fetch it again."
        ) from error
    if last > file.stat().st_size:
        raise ValueError(
            f"{file} is cut short: its tensors end at byte {last:,}, and it has "
            f"{file.stat().st_size:,}. Fetch it again."
        )
    return found


def _check_tokenizer(
    tokenizer: PreTrainedTokenizerFast, metadata: dict[str, Any], file: Path
) -> None:
    for name, key in _SPECIAL.items():
        said, came = metadata.get(f"tokenizer.ggml.{key}"), getattr(tokenizer, f"{name}_token_id")
        if said is not None and came is not None and int(said) != came:
            raise ValueError(
                f"{file} says that its {name} token is {said}, and transformers makes it {came}: "
                "the model would not stop where it should. Take the model in safetensors."
            )
    template = metadata.get("tokenizer.chat_template")
    if template and tokenizer.chat_template != template:
        raise ValueError(
            f"{file} has a chat template that transformers does not carry over. Take the model in "
            "safetensors."
        )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
