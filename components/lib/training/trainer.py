"""One training in progress: its steps, and what it logs, measures and saves between them."""

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from components.core.lease import Lease
from components.core.processes import preemption
from components.core.tracking import spool
from components.lib.device import device, give_memory_back, measured_peak
from components.lib.examples.batches import Batch, Examples
from components.lib.examples.permutation import draw
from components.lib.group import Group
from components.lib.ledger.chain import Ledger, batch_hash
from components.lib.objectives.objective import Objective
from components.lib.training.accumulate import backward, num_parts, share
from components.lib.training.checkpoint import Checkpoints
from components.lib.training.constraint import Constraint, Unconstrained
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.memory import MicroBatch, is_out_of_memory
from components.lib.training.meter import Meter
from components.lib.training.optim import Optimizers
from components.lib.training.parallel import (
    Patience,
    is_sharded,
    load_training_state,
    losses,
    number,
    prepare,
    training_state,
)
from components.lib.training.position import Position, StepOutcome
from components.lib.training.schedule import learning_rate_share
from components.lib.training.spikes import SpikeGuard

logger = logging.getLogger(__name__)

_LONG_STEP = 3.0  # seconds: one that touches its memory anew in a few hundredths of its time


class TrainSpec(NamedTuple):
    """What a model is trained on, what for, and how it is judged."""

    examples: Examples
    objective: Objective
    evaluate: Callable[[], dict[str, float]]
    """Returns metrics of the model on held-out examples."""
    flops_per_token: float
    """Of the forward and the backward pass."""
    constraint: Constraint = Unconstrained()
    """What holds of the weights through all steps."""


class Trainer:
    """One training in progress."""

    def __init__(
        self,
        model: PreTrainedModel,
        task: TrainSpec,
        training: Hyperparameters,
        out: Path,
        lease: Lease | None,
    ) -> None:
        """Put `model` on this machine's devices, ready to begin or to resume."""
        self.group = Group.current()
        self._model, self._task, self._training, self._out = model, task, training, out
        prepare(model, self.group)
        self._losses = losses(model, task.objective, self.group)
        self._optimizers = Optimizers(model, training)
        self._micro_batch = MicroBatch(out, training.micro_batch_size)
        self._meter = Meter(task.flops_per_token, measured_peak() * self.group.size)
        self._ledger = Ledger(out) if self.group.rank == 0 else None
        self._recipe = _recipe(model, training)
        self.checkpoints = Checkpoints(out, self.group, training.milestone_every, lease)
        self._patience = Patience(self.group)
        self.at = Position()

    def resume(self) -> None:
        """Go to the newest checkpoint, or to the beginning if there is none."""
        found = self._restore()
        if found is not None:
            logger.info("resumed after step %d", found.step)
        self._go_to(found or Position())

    def step(self) -> None:
        """Take one step, or skip it if its gradient is not to be trusted."""
        start = time.perf_counter()
        with self._meter.phase("data"):
            batch = self._draw()
        with self._meter.phase("gradient"):
            self._seen = self._gradient(batch)
        with self._meter.phase("optimizer"):
            self._update()
        seconds = time.perf_counter() - start
        self.at.seconds += seconds
        if seconds > _LONG_STEP:
            give_memory_back()

    def _draw(self) -> Batch:
        """Return the whole batch of this step."""
        examples, size = self._task.examples, self._training.batch_size
        return examples.batch(draw(self.at.draw, size, len(examples), self._training.seed))

    def _gradient(self, batch: Batch) -> StepOutcome:
        ours = share(batch, self.group)
        counts = self._task.objective.count(ours)
        told = [int(preemption.requested()), ours.num_tokens(), batch_hash(ours), *counts.values()]
        wanted, num_tokens, seen, *sums = self.group.sum_integers(told, device())
        num_items = dict(zip(counts, sums, strict=True))
        terms = self._backward(ours, num_items, len(batch))
        self._task.constraint.before()
        norm = nn.utils.clip_grad_norm_(
            self._optimizers.parameters, self._training.max_gradient_norm
        )
        read = dict(zip(counts, terms.tolist(), strict=True))  # the only wait for a GPU in a step
        if self._ledger is not None:
            self._ledger.append(self.at.step + 1, self.at.draw, len(batch), seen)
            self.at.chain = self._ledger.chain
        return StepOutcome(read, number(norm), num_tokens, wanted > 0)

    def _backward(self, ours: Batch, num_items: dict[str, int], num_examples: int) -> Tensor:
        """Return the terms of the loss; out of memory, once, with half of the micro-batch."""
        torch.manual_seed(_seed(self._training.seed, self.at.draw, self.group.rank))
        parts = num_parts(num_examples, self.group, self._micro_batch.size)
        terms: dict[str, Tensor] | None = None
        try:
            terms = backward(self._losses, ours, num_items, parts)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._micro_batch.halve(len(ours))
            if self.group.size > 1:  # the others wait for us: all begin again from a checkpoint
                raise
        if terms is None:  # after the handler, where the error no longer holds the activations
            self._optimizers.forget()
            return self._backward(ours, num_items, num_examples)
        return self.group.sum(torch.stack(list(terms.values())).float().to(device()))

    def _update(self) -> None:
        """Let the optimizers step, unless the gradient is not to be trusted."""
        seen = self._seen
        if self._guard.accepts(seen.loss, seen.norm):
            share_of_peak = learning_rate_share(self._training, self.at.step)
            self._optimizers.step(share_of_peak)
            self._task.constraint.after(self.at.step + 1, share_of_peak)
            self.at.skipped_in_row = 0
        else:
            logger.warning(
                "step %d skipped: loss %g, gradient norm %g", self.at.step + 1, seen.loss, seen.norm
            )
            self._optimizers.forget()
            self.at.skipped_in_row += 1
            self.at.num_skipped += 1
        self.at.step += 1
        self.at.draw += 1
        self.at.tokens += seen.num_tokens
        self._meter.count(seen.num_tokens)

    def roll_back(self) -> None:
        """Go back to the newest checkpoint if too many steps in a row were skipped.

        The data drawn since then is left out.
        """
        if (bad := self.at).skipped_in_row <= self._training.max_skipped_in_row:
            return
        found = self._restore()
        if found is None or bad.num_rollbacks == self._training.max_rollbacks:
            raise RuntimeError(
                f"The training diverged: {bad.skipped_in_row} steps in a row up to step {bad.step} "
                f"had no gradient to trust, after {bad.num_rollbacks} returns to a checkpoint. "
                f"Lower learning_rate ({self._training.learning_rate:g}) or clean the data."
            )
        logger.warning("back from step %d to %d, leaving data out", bad.step, found.step)
        resumed = dataclasses.replace(
            found,
            draw=bad.draw,
            num_skipped=bad.num_skipped,
            num_rollbacks=bad.num_rollbacks + 1,
            skipped_in_row=0,
        )
        self._go_to(resumed)

    def log(self) -> None:
        """Append a point to the metrics now and then."""
        done = self.at.step
        if not self._is_due(self._training.log_every):
            return
        observed = self._task.objective.observed(self.group)
        observed |= self._task.constraint.observed(self.group)
        if self.group.rank != 0:
            return
        share_of_peak = learning_rate_share(self._training, max(0, done - 1))
        terms = self._seen.terms if len(self._seen.terms) > 1 else {}
        # in MLflow's alphabetical order the loss is to be the first: hence the prefixes
        point = {
            "loss": self._seen.loss,
            "optimizer.gradient_norm": self._seen.norm,
            "optimizer.learning_rate": self._training.learning_rate * share_of_peak,
            "tokens": self.at.tokens,
            "training_seconds": self.at.seconds,
            "optimizer.skipped_steps": self.at.num_skipped,
            "optimizer.rollbacks": self.at.num_rollbacks,
            "progress": done / self._training.num_steps,
        }
        spool.append(
            self._out,
            done,
            {**point, **_after("loss", terms), **_after("model", observed), **self._meter.read()},
        )

    def evaluate(self) -> None:
        """Measure the model on held-out examples now and then; sharded, all processes must."""
        if not self._is_due(self._training.evaluate_every):
            return
        if self.group.rank == 0 or is_sharded(self.group):
            with self._meter.phase("evaluate"):
                self._model.eval()
                found = self._task.evaluate()
                self._model.train()
            if self.group.rank == 0:
                spool.append(self._out, self.at.step, found)
        self._patience.wait()

    def save(self) -> None:
        """Save a checkpoint now and then, at the end, and before the process has to go."""
        if self._seen.is_preempted or self._is_trusted_and_due():
            with self._meter.phase("checkpoint"):
                self.at.history = self._guard.history
                if self._ledger is not None:
                    self._ledger.sync()
                about = {"position": dataclasses.asdict(self.at), "recipe": self._recipe}
                state = training_state(self._model, self._optimizers)
                self.checkpoints.save(self.at.step, state, about)
        if self._seen.is_preempted and self.at.step < self._training.num_steps:
            self.checkpoints.wait()
            raise preemption.Preempted(self.at.step)

    def _is_trusted_and_due(self) -> bool:
        every = self._training.checkpoint_every, self._training.milestone_every
        return self.at.skipped_in_row == 0 and any(self._is_due(n) for n in every if n)

    def _restore(self) -> Position | None:
        restored = self.checkpoints.restore(self._room_for)
        if restored is None:
            return None
        state, manifest = restored
        load_training_state(self._model, self._optimizers, state)
        return Position(**manifest["position"])

    def _room_for(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return tensors to load a checkpoint into, if it is one of this training."""
        if manifest["recipe"] != self._recipe:
            raise ValueError(
                f"{self._out} holds checkpoints of another model or another training. "
                "Train into another folder, or remove it."
            )
        return training_state(self._model, self._optimizers)

    def _go_to(self, position: Position) -> None:
        self.at = position
        self._guard = SpikeGuard(self._training.spike_deviations, position.history)
        if self._ledger is not None:
            self._ledger.rewind(self.at.step, self.at.chain)
            spool.rewind(self._out, self.at.step)

    def _is_due(self, every: int) -> bool:
        return self.at.step % every == 0 or self.at.step == self._training.num_steps


def _recipe(model: PreTrainedModel, training: Hyperparameters) -> str:
    """Return a hash of what a checkpoint must have been trained with to be gone on from."""
    text = model.config.to_json_string(use_diff=False) + training.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest()


def _after(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _seed(seed: int, draw: int, rank: int) -> int:
    """Return the seed of dropout in a step: a function of the step, so nothing need be saved."""
    digest = hashlib.blake2b(f"{seed} {draw} {rank}".encode(), digest_size=7)
    return int.from_bytes(digest.digest())
