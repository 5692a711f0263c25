"""A tuning of packed sequences that takes a second, in this process or in those of a group."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.lib.examples.batches import IGNORED, POSITIONS, Batch
from components.lib.models.folders import load_model
from components.lib.models.lora import LoRA
from components.lib.training.session import train_and_save
from tests.components.lib.toy import Echoes, in_group, member, plan, task


class Packed(Echoes):
    """Echoes of which each sequence holds two, hidden from each other."""

    def batch(self, indices) -> Batch:
        batch = super().batch(indices)
        places = np.arange(batch.inputs.shape[1])
        cuts = 10 + indices % 40
        positions = np.where(places < cuts[:, None], places, places - cuts[:, None])
        batch.targets[np.arange(len(indices)), cuts - 1] = IGNORED
        lengths = np.full(len(indices), len(places))
        return Batch(batch.inputs, batch.targets, {POSITIONS: positions}, lengths)


class Tuning(NamedTuple):
    """What one process of a tuning does."""

    base: Path
    out: Path
    lora: bool
    batch_size: int
    seed: int = 0


def tune(tuning: Tuning) -> int:
    """Tune the model in `base` and save it in `out`; return the modules that compute leanly."""
    tuning.out.mkdir(exist_ok=True)
    model = load_model(tuning.base)
    training = plan(
        num_steps=6,
        batch_size=tuning.batch_size,
        micro_batch_size=2,
        learning_rate=0.01,
        checkpoint_every=3,
        seed=tuning.seed,
    )
    lora = LoRA(rank=4) if tuning.lora else None
    wanted = task(Packed(num=60, length=96))
    train_and_save(model, tuning.base, wanted, training, tuning.out, lora)
    return sum("forward" in vars(module) for module in model.modules())


def _member(
    tuning: Tuning, rank: int, size: int, rendezvous: str, environment: dict[str, str]
) -> None:
    with member(rank, size, rendezvous, environment):
        (tuning.out / f"lean_{rank}").write_text(str(tune(tuning)))


def tune_in_group(tuning: Tuning, size: int, **environment: str) -> list[int]:
    """Tune in so many processes; return the modules that compute leanly in each of them."""
    tuning.out.mkdir()
    assert in_group(_member, [tuning] * size, environment) == [0] * size
    return [int((tuning.out / f"lean_{rank}").read_text()) for rank in range(size)]
