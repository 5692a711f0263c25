"""What every training component does around the loop: set the process up, fit, save the model."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from components.core.settings import settings
from components.lib.device import device, keep_memory
from components.lib.models.folders import save_model
from components.lib.training.fit import TrainSpec, fit
from components.lib.training.hyperparameters import Hyperparameters


def train_and_save(
    model: PreTrainedModel,
    beside: Path,
    task: TrainSpec,
    training: Hyperparameters,
    out: Path,
) -> None:
    """Train `model`, one process of a data-parallel group or alone, and save it in `out`.

    It gets the tokenizer that lies `beside` the model that it began with, or in that folder alone.
    Raises what `fit` raises.
    """
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
    torch.set_num_threads(settings().threads_per_worker)
    keep_memory()
    fit(
        model,
        task,
        training,
        out,
        finish=lambda weights: save_model(model, beside, out, weights),
    )
