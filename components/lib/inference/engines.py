"""The engine that runs what lies in a folder, whichever runtime that asks for."""

from pathlib import Path

from components.lib.inference.conversation import exported
from components.lib.inference.generation import Engine


def open_engine(
    folder: Path, num_slots: int, num_threads: int, cache_bytes: int = 2 << 30, chunk: int = 128
) -> Engine:
    """Load the model in `folder` for `num_slots` requests at once: its int8 export, if it has one.

    Keys and values take at most `cache_bytes`, which bounds the context.

    Raises:
        ValueError: there is no model, or it is damaged.
    """
    from components.lib.inference.batching import BatchedEngine

    if (export := exported(folder)) is not None:
        from components.lib.inference.onnx_slots import OnnxSlots

        slots = OnnxSlots(export, num_slots, num_threads, cache_bytes)
        return BatchedEngine(slots, chunk)
    from components.lib.inference.torch_slots import TorchSlots

    return BatchedEngine(TorchSlots(folder, num_slots, cache_bytes), chunk)
