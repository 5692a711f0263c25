"""Several texts at once on an ONNX export, by plain ONNX Runtime on the CPU.

ONNX Runtime GenAI's own engine batches continuously only over `PagedAttention`, which its builder
writes for CUDA and WebGPU alone; on a CPU its static engine cannot release one row of a batch. The
graph itself can do more: GroupQueryAttention takes a length for every row, and writes new keys and
values in place where past and present are one buffer.
"""

# B = slots at work, T = tokens, S = room of a slot, V = vocabulary, H = key-value heads, D = width

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.onnx_model import OnnxModel
from components.lib.inference.slots import Slots, room

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_KNOWN = ("input_ids", "attention_mask", "position_ids")


class OnnxSlots(Slots):
    """Slots of an export that `components.compress.export.export_int8` wrote."""

    def __init__(
        self, folder: Path, num_slots: int, num_threads: int, most_bytes: int = 2 << 30
    ) -> None:
        """Load the export; the slots take `most_bytes` of memory when all are full.

        Raises:
            ValueError: there is no export, or it does not load, or the memory is too little.
        """
        model = OnnxModel(folder, num_threads)
        super().__init__(model, num_slots)
        self._session: Any
        self._session, self._runtime = _load(folder, num_threads)
        inputs = {each.name: each for each in self._session.get_inputs()}
        self._caches = [name for name in inputs if name.startswith("past_key_values.")]
        if strange := set(inputs) - set(self._caches) - set(_KNOWN):
            raise ValueError(f"The graph in {folder} asks for {sorted(strange)}: export it again.")
        self._has_positions = "position_ids" in inputs
        heads, width = model.decoder["num_key_value_heads"], model.decoder["head_size"]
        kind = _TYPES[inputs[self._caches[0]].type]
        per_token = len(self._caches) * heads * width * np.dtype(kind).itemsize
        size = room(model.context_length, num_slots, per_token, most_bytes)
        model.context_length = size
        # pages of it become real when they are written to: an idle server is small
        self._kept = [np.zeros((num_slots, heads, size, width), kind) for _ in self._caches]
        self._places = np.arange(size)
        self._tokens = np.zeros((num_slots, 1), np.int64)
        self._mask = np.zeros((num_slots, size), np.int64)
        self._positions = np.zeros((num_slots, 1), np.int64)
        self._logits = np.empty((num_slots, 1, model.vocab_size), np.float32)
        self._steps: dict[int, Any] = {}
        # nothing reads the logits of a prompt: the output head is not computed
        self._reads = self._runtime.RunOptions()
        self._reads.only_execute_path_to_fetches = True

    def read(self, slot: int, ids: Sequence[int], start: int) -> None:
        """Read `ids` (T,) into a slot whose first `start` tokens were read before."""
        end = start + len(ids)
        tokens = np.array([ids], np.int64)
        mask = (self._places < end).astype(np.int64)[None]
        positions = np.arange(start, end, dtype=np.int64)[None]
        binding = self._bound(slice(slot, slot + 1), tokens, mask, positions)
        self._session.run_with_iobinding(binding, self._reads)

    def step(self, tokens: Sequence[int], lengths: Sequence[int]) -> NDArray[np.float32]:
        """Read one token into each of the first B slots; return the logits (B, V) after them."""
        number = len(tokens)
        rows = slice(0, number)
        self._tokens[rows, 0] = tokens
        self._positions[rows, 0] = lengths
        np.less_equal(self._places, self._positions[rows], out=self._mask[rows], casting="unsafe")
        if (binding := self._steps.get(number)) is None:
            ids, mask, places = self._tokens[rows], self._mask[rows], self._positions[rows]
            binding = self._steps[number] = self._bound(rows, ids, mask, places)
            _bind(binding.bind_output, "logits", self._logits[rows])
        self._session.run_with_iobinding(binding)
        return self._logits[rows, 0]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a slot to another."""
        for each in self._kept:
            each[target, :, :length] = each[source, :, :length]

    def free(self) -> None:
        """Let go of the model and of all memory."""
        self._steps.clear()
        self._kept.clear()
        self._session = None

    def _bound(
        self,
        rows: slice,
        ids: NDArray[np.int64],
        mask: NDArray[np.int64],
        positions: NDArray[np.int64],
    ) -> Any:
        """Return a run over some slots: their keys and values are written where they are read."""
        binding = self._session.io_binding()
        _bind(binding.bind_input, "input_ids", ids)
        _bind(binding.bind_input, "attention_mask", mask)
        if self._has_positions:
            _bind(binding.bind_input, "position_ids", positions)
        for name, kept in zip(self._caches, self._kept, strict=True):
            _bind(binding.bind_input, name, kept[rows])
            _bind(binding.bind_output, name.replace("past_key_values", "present"), kept[rows])
        return binding


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    assert array.flags.c_contiguous, name
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _load(folder: Path, num_threads: int) -> tuple[Any, Any]:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = num_threads
    # between two steps the server answers: threads that spin would take its core
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of a damaged file the runtime passes on what its parser raised
        raise ValueError(
            f"The export in {folder} does not load ({error}): export the model again."
        ) from error
    return session, runtime
