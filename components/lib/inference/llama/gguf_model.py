"""Run a GGUF file on the CPU by llama.cpp, behind the interface of all language models.

What is scored is what decodes: both read the logits that llama.cpp computes, with its keys and
values in float16. Neither torch nor transformers is loaded.
"""

# B = sequences, T = tokens, V = vocabulary

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.language_model import LanguageModel
from components.lib.inference.llama.llama_cpp import LlamaContext, LlamaFile

GGUF_FILE = "model.gguf"
"""Name of the model in the folder of an export."""

_CHUNK = 128  # tokens whose logits are held at once


class LlamaCppModel(LanguageModel):
    """A GGUF file, ready to decode and score."""

    def __init__(self, path: Path, num_threads: int | None = None) -> None:
        """Load a file, or the one in the folder of an export; `num_threads` None: all cores.

        Raises:
            ValueError: there is none, or llama.cpp does not take it.
        """
        file = path / GGUF_FILE if path.is_dir() else path
        if not file.is_file():
            raise ValueError(f"{file} does not exist: write it by components.compress.to_gguf.")
        if num_threads is not None and num_threads < 1:
            raise ValueError(
                f"num_threads is {num_threads}: give at least 1, or None for all cores"
            )
        self.file = LlamaFile(file)
        super().__init__(self.file.context_length, self.file.vocab_size, self.file.end_ids())
        self.num_threads = num_threads or os.cpu_count() or 1
        self._context: LlamaContext | None = None

    def _generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        return [self._continue(prompt, max_new_tokens) for prompt in prompts]

    def _continue(self, prompt: list[int], max_new_tokens: int) -> list[int]:
        context = self._context_of(len(prompt) + max_new_tokens)
        made: list[int] = []
        unread = prompt
        while len(made) < max_new_tokens:
            token = int(context.read(unread).argmax())
            if token in self.end_ids:
                break
            made.append(token)
            unread = [token]
        return made

    def _nats(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        nats = np.empty((len(ids), ids.shape[1] - 1), np.float32)
        for row, found in zip(ids.tolist(), nats, strict=True):
            context = self._context_of(len(row) - 1)
            for start in range(0, len(row) - 1, _CHUNK):
                targets = row[start + 1 : start + 1 + _CHUNK]
                logits = context.read_all(row[start : start + len(targets)])
                found[start : start + len(targets)] = _surprise(logits, targets)
        return nats

    def _logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        found = np.empty((*ids.shape, self.vocab_size), np.float32)
        for number, row in enumerate(ids.tolist()):
            context = self._context_of(len(row))
            for start in range(0, len(row), _CHUNK):
                some = row[start : start + _CHUNK]
                found[number, start : start + len(some)] = context.read_all(some)
        return found

    def _reading(self, num_tokens: int) -> LlamaContext:
        return LlamaContext(self.file, num_tokens, self.num_threads)

    def _context_of(self, num_tokens: int) -> LlamaContext:
        """Return the context that is kept, empty, in a larger size where it is too small."""
        if self._context is None or self._context.num_tokens < num_tokens:
            self._context = self._reading(num_tokens)
        self._context.forget()
        return self._context


def _surprise(logits: NDArray[np.float32], targets: list[int]) -> NDArray[np.float32]:
    """Return the nats (T,) of targets, given the logits (T, V) of each."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    sums = np.log(np.exp(shifted).sum(axis=-1))
    return sums - shifted[np.arange(len(targets)), targets]
