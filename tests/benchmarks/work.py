"""What every peer is given: one model's shape, one set of tokens, one batch."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.lib.examples.shards import Sequences
from components.lib.scaling.step_time import training_flops_per_token


class Work(BaseModel):
    """A Llama-type model to train, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: Path | None = None
    """Folder with `train` and `validation`; without one the tokens are random."""
    out: Path
    """Folder that the peer may write to."""
    vocab_size: int = 8192
    """Ids."""
    width: int = 256
    """Size of the residual stream: with these defaults, 10.1 M parameters."""
    num_layers: int = 10
    """Decoder blocks."""
    num_heads: int = 4
    """Attention heads, of keys and values too."""
    length: int = 256
    """Tokens of a sequence."""
    batch_size: int = 16
    """Sequences of a step, in each process."""
    num_steps: int = 1_000_000
    """Steps that the learning rate is planned for."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    options: dict[str, bool | int | str] = Field(default_factory=dict)
    """What one peer alone understands."""

    @property
    def feed_forward_width(self) -> int:
        """As Llama has it: 8/3 of the width, rounded up to a multiple of 64."""
        return -(-self.width * 8 // 3 // 64) * 64

    @property
    def num_parameters(self) -> int:
        """Weights; the embedding is the output head too."""
        matrices = 4 * self.width**2 + 3 * self.width * self.feed_forward_width
        in_blocks = self.num_layers * (matrices + 2 * self.width)
        return self.vocab_size * self.width + in_blocks + self.width

    @property
    def flops_per_token(self) -> float:
        """FLOPs of training on one token."""
        return training_flops_per_token(
            self.num_parameters, self.num_layers, self.width, self.length
        )

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one process computes in a step."""
        return self.batch_size * self.length


class RandomTokens:
    """Windows of random ids: for measuring speed where there is no text."""

    def __init__(self, vocab_size: int, length: int) -> None:
        self._ids = np.random.default_rng(0).integers(vocab_size, size=(256, length + 1))

    def __len__(self) -> int:
        return len(self._ids)

    def windows(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._ids[indices]


def train_windows(work: Work) -> Sequences | RandomTokens:
    """Return the windows to train on, (T + 1) ids each."""
    if work.shards is None:
        return RandomTokens(work.vocab_size, work.length)
    return Sequences(work.shards / "train", work.length)


def held_out_windows(work: Work, number: int = 128) -> NDArray[np.int64]:
    """Return `number` windows of the validation split, (number, T + 1)."""
    assert work.shards is not None
    return Sequences(work.shards / "validation", work.length).spread(number)


def num_threads() -> int:
    """Return the threads that a peer gets: `BLOOMERY_BENCH_THREADS`, or 2."""
    return int(os.environ.get("BLOOMERY_BENCH_THREADS", "2"))


def num_turns() -> int:
    """Return the turns that peers take: `BLOOMERY_BENCH_TURNS`, or 8."""
    return int(os.environ.get("BLOOMERY_BENCH_TURNS", "8"))


def peer_seconds() -> float:
    """Return how long the peer of `time_to_loss` trains: `BLOOMERY_BENCH_SECONDS`, or 300."""
    return float(os.environ.get("BLOOMERY_BENCH_SECONDS", "300"))
