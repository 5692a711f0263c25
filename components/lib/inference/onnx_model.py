"""Run an ONNX export on the CPU: ONNX Runtime GenAI decodes, ONNX Runtime scores.

Both read the same `model.onnx`, so what is scored is what decodes. Each runtime loads on first use,
and neither torch nor transformers does.
"""

# B = sequences, T = tokens, V = vocabulary, H = key-value heads, D = width of a head

import importlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.language_model import LanguageModel

BATCH_SEQUENCES: Final = 16
"""Sequences decoded together: sorted by length, so that a batch pads little."""

LOGITS_PER_RUN: Final = 2**26
"""Most logits (B * T * V) one scoring run may hold: 256 MiB of float32."""

NO_TOKEN: Final = -1
"""Pads short prompts. The tokenizer's own pad id will not do: GenAI masks that id wherever it
stands, so a prompt that holds it (pad = eos, between two turns of a chat) is read with holes."""


class OnnxModel(LanguageModel):
    """A folder that `components.compress.export.export_int8` wrote, ready to decode and score."""

    def __init__(self, folder: Path, num_threads: int | None = None) -> None:
        """`num_threads`: threads inside one operator; None: all cores. ValueError if no export."""
        config_file = folder / "genai_config.json"
        if not config_file.is_file() or not (folder / "model.onnx").is_file():
            raise ValueError(
                f"{folder} has no model.onnx with genai_config.json: write it by export_int8 first"
            )
        if num_threads is not None and num_threads < 1:
            raise ValueError(
                f"num_threads is {num_threads}: give at least 1, or None for all cores"
            )
        config = json.loads(config_file.read_text())["model"]
        eos: int | list[int] = config["eos_token_id"]
        ends = frozenset(eos if isinstance(eos, list) else [eos])
        super().__init__(config["context_length"], config["vocab_size"], ends)
        self.folder = folder
        self.num_threads = num_threads or os.cpu_count() or 1
        self.decoder: dict[str, Any] = config["decoder"]

    def _generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        new_ids: list[list[int]] = [[] for _ in prompts]
        for start in range(0, len(prompts), BATCH_SEQUENCES):
            rows = by_length[start : start + BATCH_SEQUENCES]
            decoded = self._decode([prompts[row] for row in rows], max_new_tokens)
            for row, ids in zip(rows, decoded, strict=True):
                new_ids[row] = ids
        return new_ids

    def _nats(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = max(1, LOGITS_PER_RUN // (ids.shape[1] * self.vocab_size))
        nats = [self._score(ids[start : start + rows]) for start in range(0, len(ids), rows)]
        return np.concatenate(nats) if nats else np.empty((0, ids.shape[1] - 1), np.float32)

    def _reading(self, num_tokens: int) -> "_Reading":
        return _Reading(self._generator(1, num_tokens))

    def _decode(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """One batch, padded on the right: GroupQueryAttention counts positions from the left."""
        length = max(map(len, prompts))
        tokens = np.full((len(prompts), length), NO_TOKEN, np.int32)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = prompt
        generator = self._generator(len(prompts), length + max_new_tokens)
        generator.append_tokens(tokens)
        while not generator.is_done():
            generator.generate_next_token()
        sequences = (
            cast(NDArray[np.int32], generator.get_sequence(row)) for row in range(len(prompts))
        )
        return [self._until_eos(sequence[length:].tolist()) for sequence in sequences]

    def _generator(self, batch_size: int, max_length: int) -> Any:
        genai: Any = importlib.import_module("onnxruntime_genai")
        params = genai.GeneratorParams(self._genai_model)
        params.set_search_options(
            # Said in full: an export carries its model's sampling defaults, and here all is greedy.
            do_sample=False,
            num_beams=1,
            min_length=0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            batch_size=batch_size,
            max_length=max_length,
        )
        return genai.Generator(self._genai_model, params)

    def _until_eos(self, ids: list[int]) -> list[int]:
        """Cut at the first eos: a row that is done goes on with pads until its batch is."""
        end = next((index for index, token in enumerate(ids) if token in self.end_ids), len(ids))
        return ids[:end]

    def _score(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Ids (B, T + 1) -> nats (B, T)."""
        logits = self._logits(ids[:, :-1])
        target = np.take_along_axis(logits, ids[:, 1:, None], axis=2)[:, :, 0]
        return _log_sum_exp(logits) - target

    def _logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Ids (B, T) -> float32 (B, T, V): one pass with an empty key-value cache."""
        heads, width = self.decoder["num_key_value_heads"], self.decoder["head_size"]
        inputs: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        empty = np.zeros((len(ids), heads, 0, width), np.float32)
        for layer in range(self.decoder["num_hidden_layers"]):
            inputs[f"past_key_values.{layer}.key"] = inputs[f"past_key_values.{layer}.value"] = (
                empty
            )
        return self._session.run(["logits"], inputs)[0]

    @cached_property
    def _genai_model(self) -> Any:
        genai: Any = importlib.import_module("onnxruntime_genai")
        options = {"intra_op_num_threads": self.num_threads}
        overlay = {"model": {"pad_token_id": NO_TOKEN, "decoder": {"session_options": options}}}
        config = genai.Config(str(self.folder))
        config.overlay(json.dumps(overlay))
        try:
            return genai.Model(config)
        except Exception as error:  # of a damaged file GenAI passes on what its parser raised
            raise ValueError(
                f"The export in {self.folder} does not load ({error}): export the model again."
            ) from error

    @cached_property
    def _session(self) -> Any:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.num_threads
        return runtime.InferenceSession(
            self.folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )


class _Reading:
    """A text that GenAI reads; its generator holds the keys and values."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def read(self, ids: list[int]) -> NDArray[np.float32]:
        """Read on, and return the logits (V,) of the token after the last one."""
        self._generator.append_tokens(np.array([ids], np.int32))
        logits: NDArray[np.float32] = self._generator.get_logits()  # (1, 1, V)
        return logits[0, -1]


def _log_sum_exp(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis, shifted by the maximum so that float32 does not overflow."""
    maximum: NDArray[np.float32] = logits.max(axis=-1)
    return maximum + np.log(np.exp(logits - maximum[..., None]).sum(axis=-1))
