"""Run an ONNX export on the CPU: ONNX Runtime GenAI decodes greedily, ONNX Runtime scores.

Both read the same `model.onnx`, so what is scored is what decodes. Each runtime loads on first use.
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

BATCH_SEQUENCES: Final = 16
"""Sequences decoded together: sorted by length, so that a batch pads little."""

LOGITS_PER_RUN: Final = 2**26
"""Most logits (B * T * V) one scoring run may hold: 256 MiB of float32."""

NO_TOKEN: Final = -1
"""Pads short prompts. The tokenizer's own pad id will not do: GenAI masks that id wherever it
stands, so a prompt that holds it (pad = eos, between two turns of a chat) is read with holes."""


class OnnxModel:
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
        self.folder = folder
        self.num_threads = num_threads or os.cpu_count() or 1
        self.eos_token_ids = frozenset(eos if isinstance(eos, list) else [eos])
        self.context_length: int = config["context_length"]
        self.vocab_size: int = config["vocab_size"]
        self._decoder: dict[str, Any] = config["decoder"]

    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Continue each prompt by its most likely tokens until eos; the new ids, without eos.

        ValueError for an empty prompt, an id outside the vocabulary, more than the context holds.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}: ask for at least 1")
        for prompt in prompts:
            self._check_ids(_as_array(prompt), len(prompt) + max_new_tokens)
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        new_ids: list[list[int]] = [[] for _ in prompts]
        for start in range(0, len(prompts), BATCH_SEQUENCES):
            rows = by_length[start : start + BATCH_SEQUENCES]
            decoded = self._decode([prompts[row] for row in rows], max_new_tokens)
            for row, ids in zip(rows, decoded, strict=True):
                new_ids[row] = ids
        return new_ids

    def negative_log_likelihood(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Nats of each next token: ids (B, T + 1) -> (B, T), from the exported model's own logits.

        ValueError for another shape, an id outside the vocabulary, or more than the context holds.
        """
        if ids.ndim != 2 or ids.shape[1] < 2:
            raise ValueError(f"ids have shape {ids.shape}: give (sequences, at least 2 tokens)")
        self._check_ids(ids, ids.shape[1] - 1)
        rows = max(1, LOGITS_PER_RUN // (ids.shape[1] * self.vocab_size))
        nats = [self._score(ids[start : start + rows]) for start in range(0, len(ids), rows)]
        return np.concatenate(nats) if nats else np.empty((0, ids.shape[1] - 1), np.float32)

    def next_token_probabilities(self, ids: list[int], num_tokens: int) -> list[tuple[int, float]]:
        """The `num_tokens` most likely tokens after `ids`, with their probabilities, best first."""
        if not 1 <= num_tokens <= self.vocab_size:
            raise ValueError(
                f"num_tokens is {num_tokens}: give 1 to {self.vocab_size}, the vocabulary"
            )
        prompt = _as_array(ids)
        self._check_ids(prompt, len(ids))
        logits = self._logits(prompt[None])[0, -1]
        probabilities = np.exp(logits - _log_sum_exp(logits))
        best = np.argsort(-probabilities, kind="stable")[:num_tokens]
        return [(int(token), float(probabilities[token])) for token in best]

    def _check_ids(self, ids: NDArray[np.int64], num_tokens: int) -> None:
        """Refuse what the runtimes do not: they read a negative id from the table's end."""
        if num_tokens > self.context_length:
            raise ValueError(
                f"{num_tokens} tokens do not fit the context of {self.context_length}: "
                "shorten the text or ask for fewer"
            )
        outside = ids[(ids < 0) | (ids >= self.vocab_size)]
        if outside.size:
            raise ValueError(
                f"token {outside[0]} is outside 0 to {self.vocab_size - 1}: "
                "encode with the tokenizer of the export"
            )

    def _decode(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """One batch, padded on the right: GroupQueryAttention counts positions from the left."""
        genai: Any = importlib.import_module("onnxruntime_genai")
        length = max(map(len, prompts))
        tokens = np.full((len(prompts), length), NO_TOKEN, np.int32)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = prompt
        params = genai.GeneratorParams(self._genai_model)
        params.set_search_options(
            # Said in full: an export carries its model's sampling defaults, and here all is greedy.
            do_sample=False,
            num_beams=1,
            min_length=0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            batch_size=len(prompts),
            max_length=length + max_new_tokens,
        )
        generator = genai.Generator(self._genai_model, params)
        generator.append_tokens(tokens)
        while not generator.is_done():
            generator.generate_next_token()
        sequences = (
            cast(NDArray[np.int32], generator.get_sequence(row)) for row in range(len(prompts))
        )
        return [self._until_eos(sequence[length:].tolist()) for sequence in sequences]

    def _until_eos(self, ids: list[int]) -> list[int]:
        """Cut at the first eos: a row that is done goes on with pads until its batch is."""
        end = next(
            (index for index, token in enumerate(ids) if token in self.eos_token_ids), len(ids)
        )
        return ids[:end]

    def _score(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Ids (B, T + 1) -> nats (B, T)."""
        logits = self._logits(ids[:, :-1])
        target = np.take_along_axis(logits, ids[:, 1:, None], axis=2)[:, :, 0]
        return _log_sum_exp(logits) - target

    def _logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Ids (B, T) -> float32 (B, T, V): one pass with an empty key-value cache."""
        heads, width = self._decoder["num_key_value_heads"], self._decoder["head_size"]
        inputs: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        empty = np.zeros((len(ids), heads, 0, width), np.float32)
        for layer in range(self._decoder["num_hidden_layers"]):
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
        return genai.Model(config)

    @cached_property
    def _session(self) -> Any:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.num_threads
        return runtime.InferenceSession(
            self.folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )


def _as_array(prompt: list[int]) -> NDArray[np.int64]:
    if not prompt:
        raise ValueError("a prompt is empty: give at least one token, such as bos")
    return np.asarray(prompt, np.int64)


def _log_sum_exp(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis, shifted by the maximum so that float32 does not overflow."""
    maximum: NDArray[np.float32] = logits.max(axis=-1)
    return maximum + np.log(np.exp(logits - maximum[..., None]).sum(axis=-1))
