"""The engine that runs what lies in a folder, whichever runtime that asks for.

An int8 export runs on ONNX Runtime, a model in Hugging Face layout on transformers (on a GPU, where
there is one), and a GGUF file on llama.cpp.
"""

from pathlib import Path

from components.lib.inference.conversation import exported, gguf_file
from components.lib.inference.generation import Engine


def open_engine(
    folder: Path, num_slots: int, num_threads: int, cache_bytes: int = 2 << 30, chunk: int = 128
) -> Engine:
    """Load a folder or a .gguf file for `num_slots` requests at once; of two forms the export.

    Keys and values take at most `cache_bytes`, which bounds the context.

    Raises:
        ValueError: there is no model, or it is damaged.
    """
    from components.lib.inference.batching import BatchedEngine

    if folder.suffix == ".gguf":
        return _llama(folder, num_slots, num_threads, cache_bytes)
    if (export := exported(folder)) is not None:
        from components.lib.inference.onnx_slots import OnnxSlots

        slots = OnnxSlots(export, num_slots, num_threads, cache_bytes)
        return BatchedEngine(slots, chunk)
    if (file := gguf_file(folder)) is not None:
        return _llama(file, num_slots, num_threads, cache_bytes)
    from components.lib.inference.torch_slots import TorchSlots

    return BatchedEngine(TorchSlots(folder, num_slots, cache_bytes), chunk)


def tokenizer_of(folder: Path) -> Path:
    """Return the folder that the tokenizer of a model lies in."""
    if folder.suffix != ".gguf":
        return folder
    from components.lib.inference.llama.gguf_tokenizer import tokenizer_folder

    return tokenizer_folder(folder)


def _llama(file: Path, num_slots: int, num_threads: int, cache_bytes: int) -> Engine:
    from tokenizers import Tokenizer

    from components.lib.inference.llama.gguf_tokenizer import context_length
    from components.lib.inference.llama.llama_engine import LlamaEngine

    vocabulary = Tokenizer.from_file(str(tokenizer_of(file) / "tokenizer.json")).get_vocab()
    # llama.cpp takes the memory at once, and does not say how much before
    longest = min(context_length(file), max(256, cache_bytes // (num_slots << 16)))
    return LlamaEngine(file, num_slots, num_threads, (longest, max(vocabulary.values()) + 1))
