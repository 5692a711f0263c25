"""The training loop of every component that trains by gradient descent.

Set up, fit, validate. Runs in one plain process or in each of a group of data-parallel ones
(`torch.distributed`), with the same batches: which examples a step sees is a pure function of
(seed, step), and each loss is a mean over the items of the whole batch.
"""

import os
import uuid
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from components.core.lease import OWNER, Lease
from components.core.processes import preemption
from components.lib.group import Group
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.parallel import whole_weights
from components.lib.training.trainer import Trainer, TrainSpec


def fit(
    model: PreTrainedModel,
    task: TrainSpec,
    training: Hyperparameters,
    out: Path,
    finish: Callable[[dict[str, Tensor]], None] = lambda _: None,
) -> None:
    """Train `model` in place; interrupted, the same call resumes from its newest checkpoint.

    Under `out`, rank 0 appends metrics to the spool and what each step saw to the ledger.
    Checkpoints are written while the training goes on. At the end rank 0 calls `finish` with all
    weights, on the CPU, while no other run may write `out`.

    Raises:
        ValueError: another run writes `out`, or what is there does not verify.
        Preempted: SIGTERM came; a checkpoint holds every step that was done.
        RuntimeError: the training diverged more often than `training` allows.
    """
    with _only_writer(out) as lease, preemption.listen():
        trainer = Trainer(model, task, training, out, lease)
        with closing(trainer.checkpoints):
            trainer.resume()
            while trainer.at.step < training.num_steps:
                trainer.step()
                trainer.log()
                trainer.evaluate()
                trainer.save()
                trainer.roll_back()
            trainer.checkpoints.wait()
            weights = whole_weights(model)
            if lease is not None:
                lease.check()
                finish(weights)
            trainer.checkpoints.remove()


@contextmanager
def _only_writer(out: Path) -> Generator[Lease | None]:
    """Hold the lease on `out`, in the one process of the group that commits."""
    if Group.current().rank == 0:
        with Lease.take(out, os.environ.get(OWNER, uuid.uuid4().hex)) as lease:
            yield lease
    else:
        yield None
