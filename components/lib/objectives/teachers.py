"""What a teacher says of each next token: its likeliest tokens, and how much is left for others.

The teacher runs beside the student, or its scores were kept by `compress.teacher`: the objective
sees no difference but the 16 bits that a kept score has.
"""

# B = sequences, T = tokens of a sequence, N = positions with a loss, V = vocabulary,
# K = tokens that are kept of a distribution

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from components.lib.device import move, put
from components.lib.examples.batches import IGNORED, Batch, Examples
from components.lib.examples.scored import NUMBERS, Numbered, ScoreFiles
from components.lib.objectives.buckets import log_buckets
from components.lib.objectives.cross_entropy import parts
from components.lib.objectives.next_token import predict


class Taught(NamedTuple):
    """What a teacher says of some positions."""

    ids: Tensor
    """Its likeliest tokens, (N, K)."""
    log_probabilities: Tensor
    """Their ln p, and at last that of all others together, (N, K + 1), float32."""


class Teacher(Protocol):
    """Whoever is asked."""

    def examples(self, examples: Examples) -> Examples:
        """Return the examples with what the teacher must know of them."""
        ...

    def __call__(self, batch: Batch) -> Taught:
        """Return what it says of the positions of `batch` that have a target, row by row."""
        ...


class LiveTeacher(Teacher):
    """A model that reads every batch before the student learns from it."""

    def __init__(self, model: PreTrainedModel, top_k: int, temperature: float = 1.0) -> None:
        """Keep the `top_k` likeliest tokens of softmax(logits / temperature)."""
        self._model = move(model).eval()
        self._top_k, self._temperature = top_k, temperature

    def examples(self, examples: Examples) -> Examples:
        """Return the examples as they are."""
        return examples

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Taught:
        """Read the batch."""
        output, targets = predict(self._model, batch)
        return likeliest(with_loss(output.logits, targets), self._top_k, self._temperature)


class KeptTeacher(Teacher):
    """The scores of a teacher that ran once, read from memory-mapped files."""

    def __init__(self, folder: Path) -> None:
        """Map the files of `TeacherScores`."""
        self._files = ScoreFiles(folder)

    def examples(self, examples: Examples) -> Examples:
        """Return the examples, each with its number."""
        return Numbered(examples)

    def __call__(self, batch: Batch) -> Taught:
        """Look the batch up.

        Raises:
            ValueError: one of its sequences was not scored.
        """
        ids, kept = self._files.read(batch.extras[NUMBERS][:, 0])
        has_target = batch.targets != IGNORED
        width = batch.targets.shape[1]
        return Taught(
            put(ids[:, :width][has_target].astype(np.int64)),
            put(kept[:, :width][has_target].astype(np.float32)),
        )


def likeliest(logits: Tensor, top_k: int, temperature: float = 1.0) -> Taught:
    """Return the likeliest tokens of softmax(logits / temperature), for logits (N, V).

    The likeliest comes first. No more than V are told apart.
    """
    number = min(top_k, logits.shape[1])
    ids = torch.empty(len(logits), number, dtype=torch.int64, device=logits.device)
    for rows in parts(logits):
        ids[rows] = logits[rows].topk(number, dim=1).indices
    return Taught(ids, log_buckets(logits, ids, temperature))


def with_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Return the rows of `values` (N, ...) that have one of `targets` (N,)."""
    has_target: Any = targets != IGNORED
    return values if bool(has_target.all()) else values[has_target]
