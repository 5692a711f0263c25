"""The training loop of every component that trains by gradient descent on token targets.

Set up, fit, validate. Runs in one plain process or in each of a group of data-parallel ones
(`torch.distributed`), with the same batches: which examples a step sees is a pure function of
(seed, step), and the loss is normalised by the tokens of the whole batch.
"""

# B = examples of a batch, T = tokens of an example, V = vocabulary

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.core import metrics
from components.lib import checkpoint
from components.lib.device import autocast, device, measured_peak, move
from components.lib.optim import Optimizers, warmup_stable_decay
from components.lib.permutation import draw
from components.lib.plan import Training

logger = logging.getLogger(__name__)

IGNORED = -100  # target that bears no loss, as transformers and torch have it


class Batch(NamedTuple):
    """Token ids and what each position must predict."""

    inputs: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), IGNORED where there is no loss


class Examples(Protocol):
    """A finite set of examples that can be drawn in any order."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen examples as one batch."""
        ...


class Group(NamedTuple):
    """This process among the data-parallel ones."""

    rank: int
    size: int

    @classmethod
    def current(cls) -> "Group":
        """Return the group of this process; a plain process is alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls(0, 1)

    def sum(self, value: Tensor) -> Tensor:
        """Add `value` up over the group, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value


def fit(
    model: PreTrainedModel,
    training: Training,
    examples: Examples,
    out: Path,
    evaluate: Callable[[], dict[str, float]],
    flops_per_token: float,
) -> None:
    """Train `model` in place; interrupted, the same call goes on from its newest checkpoint.

    Rank 0 appends the metrics to the spool of `out`, calls `evaluate` now and then and adds what it
    returns, and writes checkpoints under `out`. `flop_use` is the share of this device's matmul
    peak, measured at the start, that `flops_per_token` (forward and backward) make of it.
    """
    group = Group.current()
    meter = _Meter(flops_per_token, measured_peak(), group)
    move(model).train()
    optimizers = Optimizers(
        model, training.learning_rate, training.weight_decay, training.embedding_multiplier
    )
    first_step = _resume(model, optimizers, out)
    if group.rank == 0:
        metrics.rewind(out, first_step)

    for step in range(first_step, training.num_steps):
        indices = draw(step, training.batch_size, len(examples), training.seed)
        batch = examples.batch(indices[group.rank :: group.size])
        loss, _ = backward(model, batch, training.micro_batch_size, group)
        norm = nn.utils.clip_grad_norm_(optimizers.parameters, training.max_gradient_norm)
        rate = warmup_stable_decay(
            step, training.num_steps, training.warmup_fraction, training.decay_fraction
        )
        optimizers.step(rate)
        meter.count(batch)

        done = step + 1
        is_last = done == training.num_steps
        if group.rank != 0:
            continue
        if is_last or done % training.log_every == 0:
            rates = {"learning_rate": training.learning_rate * rate, **meter.read()}
            progress = {"progress": done / training.num_steps}
            point = {"loss": loss, "gradient_norm": float(norm), **rates, **progress}
            metrics.append(out, done, point)
        with meter.paused():
            if is_last or done % training.evaluate_every == 0:
                metrics.append(out, done, _validated(model, evaluate))
            if not is_last and done % training.checkpoint_every == 0:
                _save(model, optimizers, out, done)


class _Meter:
    """Counts tokens, padding left out, against the time that steps take."""

    def __init__(self, flops_per_token: float, peak: float, group: Group) -> None:
        """`peak`: FLOP/s that one process of the group can reach."""
        self._flops_per_token = flops_per_token
        self._peak = peak * group.size
        self._num_processes = group.size
        self._num_tokens, self._since = 0, time.perf_counter()

    def count(self, batch: Batch) -> None:
        """Count a batch of this process; the others have as many examples."""
        bears_loss = batch.targets != IGNORED
        behind_last = batch.targets.shape[1] - np.argmax(bears_loss[:, ::-1], axis=1)
        self._num_tokens += int(behind_last.sum()) * self._num_processes

    def read(self) -> dict[str, float]:
        """Return the rates since the last reading."""
        now = time.perf_counter()
        per_second = self._num_tokens / (now - self._since)
        self._num_tokens, self._since = 0, now
        flop_use = per_second * self._flops_per_token / self._peak
        return {"tokens_per_second": per_second, "flop_use": flop_use}

    @contextmanager
    def paused(self) -> Generator[None]:
        """Leave the time of the block out."""
        start = time.perf_counter()
        yield
        self._since += time.perf_counter() - start


def _validated(
    model: PreTrainedModel, evaluate: Callable[[], dict[str, float]]
) -> dict[str, float]:
    model.eval()
    found = evaluate()
    model.train()
    return found


def _save(model: PreTrainedModel, optimizers: Optimizers, out: Path, done: int) -> None:
    state = {
        "step": done,
        "model": model.state_dict(),
        "optimizers": optimizers.state_dict(),
        "random": torch.get_rng_state(),
    }
    checkpoint.save(out, done, state)


def _resume(model: PreTrainedModel, optimizers: Optimizers, out: Path) -> int:
    """Return the steps that are done, after loading the newest checkpoint if there is one."""
    state = checkpoint.newest(out)
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    optimizers.load_state_dict(state["optimizers"])
    torch.set_rng_state(state["random"])
    logger.info("resumed after step %d", state["step"])
    return state["step"]


def backward(
    model: PreTrainedModel, batch: Batch, micro_batch_size: int, group: Group
) -> tuple[float, int]:
    """Leave the gradient of the whole batch's mean loss in the parameters of every process.

    Returns the mean loss in nats and the targets that bore it, over the whole group. However the
    batch is cut into processes and micro-batches, each target weighs the same
    (transformers#35203). A micro-batch is as wide as its last target: what follows is padding.
    """
    counted = torch.tensor(float((batch.targets != IGNORED).sum()), device=device())
    num_targets = group.sum(counted).item()
    total = torch.zeros((), device=device())
    for start in range(0, len(batch.inputs), micro_batch_size):
        rows = slice(start, start + micro_batch_size)
        width = int(np.flatnonzero((batch.targets[rows] != IGNORED).any(axis=0))[-1]) + 1
        inputs = torch.from_numpy(batch.inputs[rows, :width]).to(device())
        targets = torch.from_numpy(batch.targets[rows, :width]).to(device())
        loss = summed_loss(model, inputs, targets) / num_targets
        loss.backward()
        total += loss.detach()
    if group.size > 1:
        _sum_gradients(model, group)
    return group.sum(total).item(), int(num_targets)


def _sum_gradients(model: PreTrainedModel, group: Group) -> None:
    """Add the gradients up over the group, all in one message."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = group.sum(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def summed_loss(model: PreTrainedModel, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of (B, T) targets summed over those that count, in nats."""
    with autocast():
        logits = model(input_ids=inputs, use_cache=False).logits  # (B, T, V)
    return F.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
