"""Bloomery's own training, set up as `components.pretrain.train` sets it up."""

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from components.lib.device import keep_memory
from components.lib.examples.batches import Batch
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import flops_per_token
from components.lib.models.shape import Shape
from components.lib.objectives.next_token import NextToken
from components.lib.training.fit import TrainSpec, fit
from components.lib.training.hyperparameters import Hyperparameters
from tests.benchmarks.turns import Turns
from tests.benchmarks.work import Work, num_threads, train_windows

_NEVER = 1_000_000_000  # steps


class _Windows:
    """The examples; asked for the next batch, the step before it is done."""

    def __init__(self, work: Work, turns: Turns) -> None:
        self._windows, self._turns = train_windows(work), turns
        self._has_begun = False

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        if self._has_begun:
            self._turns.step()
        self._has_begun = True
        rows = self._windows.windows(indices)
        return Batch(rows[:, :-1].copy(), rows[:, 1:].copy())


def train(work: Work, turns: Turns) -> PreTrainedModel:
    """Train as `options` say: `optimizer`, `architecture`, `random_projections`, and the group."""
    torch.set_num_threads(int(work.options.get("threads", num_threads())))
    keep_memory()
    num_processes = _join(work)
    model = _model(work)
    training = Hyperparameters(
        num_steps=work.num_steps,
        batch_size=work.batch_size * num_processes,
        learning_rate=work.learning_rate,
        optimizer="adamw" if work.options.get("optimizer") == "adamw" else "muon",
        evaluate_every=_NEVER,
        checkpoint_every=_NEVER,
    )
    task = TrainSpec(
        examples=_Windows(work, turns),
        objective=NextToken(),
        evaluate=dict,
        flops_per_token=flops_per_token(model, work.length),
    )
    turns.begin()
    fit(model, task, training, work.out)
    turns.step()
    return model


def _join(work: Work) -> int:
    """Join the group of data-parallel processes, if this is one, and return its size."""
    size = int(work.options.get("num_processes", 1))
    if size > 1:
        rank, meeting = int(work.options["rank"]), f"file://{work.options['meeting']}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    return size


def _model(work: Work) -> PreTrainedModel:
    """Return a new model, as `Train` builds it unless `options` say otherwise."""
    shape = Shape(
        architecture="qwen3" if work.options.get("architecture") == "qwen3" else "llama",
        max_length=work.length,
        width=work.width,
        num_layers=work.num_layers,
        num_heads=work.num_heads,
        num_key_value_heads=work.num_heads,
    )
    model = build_model(shape, work.vocab_size, SpecialIds(0, 1), seed=0)
    if work.options.get("random_projections"):
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(parameter, std=0.02)
    return model
