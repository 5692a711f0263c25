"""What every training component does around the loop: set the process up, fit, save the model."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from components.core.settings import settings
from components.lib.device import device, keep_memory
from components.lib.group import Group
from components.lib.models.folders import save_model
from components.lib.models.lora import LoRA
from components.lib.training.fit import TrainSpec, fit
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.parallel import is_sharded

_NUM_PROVED, _PROVED_LENGTH = 8, 512  # sequences and their tokens that a merge is proved on


def train_and_save(
    model: PreTrainedModel,
    beside: Path,
    task: TrainSpec,
    training: Hyperparameters,
    out: Path,
    lora: LoRA | None = None,
) -> None:
    """Train `model`, one process of a data-parallel group or alone, and save it in `out`.

    It gets the tokenizer that lies `beside` the model that it began with, or in that folder alone.
    With `lora` an adapter of the model `beside` is trained; `out` gets the merged model, proved on
    some of the examples, and the adapter by itself in a folder of its own.

    Raises:
        ValueError: the merged model is not the adapter, or a base in 4 bits is to be sharded. Else
            what `fit` raises.
    """
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
    torch.set_num_threads(settings().threads_per_worker)
    keep_memory()
    finish = partial(save_model, model, beside, out)
    if lora is not None:
        from components.lib.models.adapters import adapt  # PEFT takes seconds to import
        from components.lib.models.light_adapters import lighten

        if lora.base == "nf4" and is_sharded(Group.current()):
            raise ValueError(
                "A base in nf4 cannot be sharded. Set BLOOMERY_DATA_PARALLEL=replicate, or keep it "
                "in float32 (lora.base)."
            )
        adapt(model, lora, training.seed)
        lighten(model)
        finish = partial(_save_merged, model, beside, out, lora, _some_texts(task))
    fit(
        model,
        task,
        training,
        out,
        finish,
    )


def _save_merged(
    model: PreTrainedModel,
    base: Path,
    out: Path,
    lora: LoRA,
    texts: Tensor,
    weights: dict[str, Tensor],
) -> None:
    """Save the adapter in `weights`, and the model that it makes of its base, with a proof."""
    from components.lib.models.adapters import ADAPTER, merged, prove_merge, save_adapter

    save_adapter(model, lora, base.name, weights, out / ADAPTER)
    save_model(merged(base, out / ADAPTER, lora), base, out)
    prove_merge(base, out, texts, lora)


def _some_texts(task: TrainSpec) -> Tensor:
    """Return the token ids of a few examples, to hold two models against each other."""
    chosen = np.arange(min(len(task.examples), _NUM_PROVED))
    batch = task.examples.batch(chosen)
    return torch.from_numpy(batch.inputs[:_NUM_PROVED, :_PROVED_LENGTH])
