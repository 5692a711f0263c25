"""Several texts at once on a transformers model, on a GPU where there is one.

The cache is one of transformers' own interface, so any decoder whose layers all attend to the
whole text runs on it. A mask in four dimensions says what each row sees, as rows differ in length.
"""

# B = slots at work, T = tokens, S = room of a slot, V = vocabulary, H = key-value heads, D = width

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from components.lib.device import device, give_memory_back
from components.lib.inference.slots import Slots, room
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model


class TorchSlots(Slots):
    """Slots of a model in Hugging Face layout: bfloat16 on a GPU, float32 on a CPU."""

    def __init__(self, folder: Path, num_slots: int, most_bytes: int = 2 << 30) -> None:
        """Load the model; the slots take `most_bytes` of memory when all are full.

        Raises:
            ValueError: there is no model, it is damaged, or a layer attends to a window alone.
        """
        whole: Any = load_model(folder)
        _refuse_windows(whole.config, folder)
        if whole.config._attn_implementation != "eager":  # which a few need
            whole.set_attn_implementation("sdpa")
        self._model: Any = whole.to(torch.bfloat16) if device().type == "cuda" else whole
        super().__init__(TorchModel(self._model), num_slots)
        self._layers = [_SlotLayer(num_slots) for _ in range(whole.config.num_hidden_layers)]
        per_token = self._bytes_per_token(whole)
        size = room(self.model.context_length, num_slots, per_token, most_bytes)
        self.model.context_length = size
        for layer in self._layers:
            layer.room = size
        self._cache = Cache(layers=list(self._layers))

    @torch.inference_mode()
    def read(self, slot: int, ids: Sequence[int], start: int) -> None:
        """Read `ids` (T,) into a slot whose first `start` tokens were read before."""
        places = torch.arange(start, start + len(ids), device=device())[None]
        self._run([list(ids)], slice(slot, slot + 1), places, start + len(ids))

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], lengths: Sequence[int]) -> NDArray[np.float32]:
        """Read one token into each of the first B slots; return the logits (B, V) after them."""
        places = torch.tensor(lengths, device=device())[:, None]
        rows = slice(0, len(tokens))
        made = self._run([[token] for token in tokens], rows, places, max(lengths) + 1)
        return made.logits[:, -1].float().cpu().numpy()

    @torch.inference_mode()
    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a slot to another."""
        for layer in self._layers:
            if layer.is_initialized:
                layer.keys[target, :, :length] = layer.keys[source, :, :length]
                layer.values[target, :, :length] = layer.values[source, :, :length]

    def free(self) -> None:
        """Let go of the model and of all memory."""
        self._layers.clear()
        self._cache = self._model = None
        if device().type == "cuda":
            torch.cuda.empty_cache()
        give_memory_back()

    def _run(self, ids: list[list[int]], rows: slice, places: Tensor, width: int) -> Any:
        """Read `ids` (B, T) at `places` (B, T) of some slots, of which `width` tokens are seen."""
        for layer in self._layers:
            layer.aim(rows, places, width)
        seen = torch.arange(width, device=device())
        is_seen = seen <= places[:, None, :, None]  # (B, 1, T, width): each token those before
        kind = self._model.dtype
        mask = torch.where(is_seen, 0.0, torch.finfo(kind).min).to(kind)
        return self._model(
            input_ids=torch.tensor(ids, device=device()),
            attention_mask=mask,
            position_ids=places,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )

    @torch.inference_mode()
    def _bytes_per_token(self, model: Any) -> int:
        """Return the bytes that a token takes, by reading one."""
        for layer in self._layers:
            layer.room = 1
        self._cache = Cache(layers=list(self._layers))
        self._run([[0]], slice(0, 1), torch.zeros((1, 1), dtype=torch.long, device=device()), 1)
        found = sum(layer.bytes_per_token() for layer in self._layers)
        for layer in self._layers:
            layer.forget()
        return found


class _SlotLayer(CacheLayerMixin):
    """Keys and values (N, H, S, D) of all slots in one layer, written where `aim` says."""

    def __init__(self, num_slots: int) -> None:
        super().__init__()
        self.keys: Any = None
        self.values: Any = None
        self.room = 1
        self._num_slots = num_slots

    def aim(self, rows: slice, places: Tensor, width: int) -> None:
        """Write the next keys to `places` (B, T) of these slots, and show `width` of each."""
        self._rows, self._places, self._width = rows, places, width
        self._index = torch.arange(rows.start, rows.stop, device=places.device)[:, None]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        def empty(like: Tensor) -> Tensor:  # pages of it become real when they are written to
            shape = (self._num_slots, like.shape[1], self.room, like.shape[3])
            return torch.zeros(shape, dtype=like.dtype, device=like.device)

        self.keys, self.values = empty(key_states), empty(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys[self._index, :, self._places] = key_states.transpose(1, 2)
        self.values[self._index, :, self._places] = value_states.transpose(1, 2)
        return self.keys[self._rows, :, : self._width], self.values[self._rows, :, : self._width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._width, 0

    def get_seq_length(self) -> int:
        return self._width - self._places.shape[1]

    def get_max_length(self) -> int:
        return self.room

    def bytes_per_token(self) -> int:
        """Return what a token of one slot takes in this layer."""
        each = (self.keys, self.values)
        return sum(kept.shape[1] * kept.shape[3] * kept.element_size() for kept in each)

    def forget(self) -> None:
        """Let go of the memory."""
        self.keys = self.values = None
        self.is_initialized = False


def _refuse_windows(config: Any, folder: Path) -> None:
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    window = getattr(text, "sliding_window", None) if kinds == {"full_attention"} else None
    is_used = window is not None and getattr(text, "use_sliding_window", True)
    if kinds != {"full_attention"} or is_used:
        raise ValueError(
            f"The model in {folder} has layers that attend to a window of the text, which only its "
            "int8 export is served with: run the recipe's stage `compress`, or serve a .gguf file."
        )
