"""The gradient of a whole batch, from parts that fit into memory."""

# B = examples of a batch

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from components.lib.examples.batches import Batch
from components.lib.group import Group

_STAND_IN = Batch(np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64))


def share(batch: Batch, group: Group) -> Batch:
    """Return the examples of a global batch that this process computes."""
    return batch.rows(slice(group.rank, None, group.size))


def backward(
    losses: nn.Module,
    batch: Batch,
    num_items: dict[str, int],
    num_parts: int,
) -> dict[str, Tensor]:
    """Leave the gradient of the whole batch's loss in the parameters.

    `losses` returns the terms of a batch (see `components.lib.training.parallel.losses`). `batch`
    is this process's share, computed in `num_parts` parts; `num_items` counts what each term of
    the loss is the mean of, over the whole batch. Returns each term's share of the loss, to be
    added up over the processes: scalars in float64, not read, so that the CPU runs ahead of a
    GPU.
    """
    size = Group.current().size  # gradients are averaged over processes, and must be summed
    terms = dict.fromkeys(num_items, torch.zeros((), dtype=torch.float64))
    parts = list(_parts(batch, num_parts))
    for number, (part, weight) in enumerate(parts, start=1):
        with _exchange(losses, now=number == len(parts)):
            sums = losses(part)
            means: dict[str, Tensor] = {
                name: weight * value / max(1, num_items[name]) for name, value in sums.items()
            }
            (size * sum(means.values())).backward()  # pyright: ignore - a sum of tensors
        for name, value in means.items():
            terms[name] = terms[name] + value.detach()
    return terms


def num_parts(num_examples: int, group: Group, micro_batch_size: int) -> int:
    """Return the parts in which each process computes its share: the same number for all."""
    return math.ceil(math.ceil(num_examples / group.size) / micro_batch_size)


def _parts(batch: Batch, number: int) -> Iterator[tuple[Batch, float]]:
    """Cut a batch into `number` parts of about one size, each with its weight.

    Sharded processes must call the model equally often: one that has no example left computes one
    again, with weight 0; one that has none at all, because dialogues packed into fewer sequences
    than there are processes, a single token.
    """
    for chosen in np.array_split(np.arange(len(batch)), number):
        if len(chosen):
            yield batch.rows(slice(int(chosen[0]), int(chosen[-1]) + 1)), 1.0
        else:
            yield batch.rows(slice(0, 1)) if len(batch) else _STAND_IN, 0.0


def _exchange(losses: nn.Module, *, now: bool) -> AbstractContextManager[None]:
    """Return a context in which replicas exchange their gradients `now`, or not yet."""
    if isinstance(losses, DistributedDataParallel) and not now:
        return losses.no_sync()
    return nullcontext()
