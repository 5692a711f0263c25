"""A model on all data-parallel processes, and its state as checkpoints hold it."""

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from components.core.settings import settings
from components.lib.device import device, has_bfloat16, move
from components.lib.examples.batches import Batch
from components.lib.group import Group, gloo_group
from components.lib.models.lean_blocks import slim
from components.lib.objectives.objective import Objective
from components.lib.training.optim import Optimizers


def is_sharded(group: Group) -> bool:
    """Return whether each process holds only its part of the weights."""
    return group.size > 1 and settings().data_parallel == "shard"


def prepare(model: PreTrainedModel, group: Group) -> None:
    """Move `model` to the device, and shard, compile and checkpoint it as the settings say.

    Where they are not compiled, its blocks compute on a CPU with less memory.
    """
    move(model).train()
    if settings().activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if settings().compiles:
        for block in _blocks(model):  # alike, so that the first one's code serves them all
            block.compile()
    elif device().type == "cpu":
        slim(model)
    if is_sharded(group):
        _shard(model, group)


class Losses(nn.Module):
    """An objective and its model, as one module that a batch goes through."""

    def __init__(self, model: PreTrainedModel, objective: Objective) -> None:
        """Let `objective` ask `model`."""
        super().__init__()
        self.model = model
        self._objective = objective

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss."""
        return self._objective(self.model, batch)


def losses(model: PreTrainedModel, objective: Objective, group: Group) -> nn.Module:
    """Return what a batch goes through; its gradients are averaged over replicas."""
    alone = Losses(model, objective)
    if group.size == 1 or is_sharded(group):
        return alone
    return DistributedDataParallel(alone, gradient_as_bucket_view=True)


def _blocks(model: PreTrainedModel) -> list[nn.Module]:
    """Return the transformer blocks: the longest list of modules that there is."""
    return list(max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len))


def _shard(model: PreTrainedModel, group: Group) -> None:
    """Shard weights, gradients and optimizer states (Zhao et al. 2023, PyTorch FSDP)."""
    on_gpu = device().type == "cuda" and has_bfloat16()
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if on_gpu
        else MixedPrecisionPolicy()
    )
    mesh = init_device_mesh(device().type, (group.size,))
    for module in [*_blocks(model), model]:
        fully_shard(module, mesh=mesh, mp_policy=policy)


class Patience:
    """Lets the processes of a group wait for one that works long, as in a validation.

    Gradient exchange gives up after a minute or two: there, a long wait means a dead process.
    """

    def __init__(self, group: Group) -> None:
        """Called by all processes together."""
        self._gloo = gloo_group(timedelta(hours=1)) if group.size > 1 else None

    def wait(self) -> None:
        """Wait until all processes have called."""
        if self._gloo is not None:
            dist.barrier(group=self._gloo)


def training_state(model: PreTrainedModel, optimizers: Optimizers) -> dict[str, Any]:
    """Return the tensors of a checkpoint, by names that any number of processes shares.

    Weights that are not trained are left out: they are in the model that the training began with.
    """
    frozen = _frozen(model)
    weights = get_model_state_dict(model).items()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {
        "model": {name: value for name, value in weights if not frozen or name in trained},
        "optimizers": get_optimizer_state_dict(model, optimizers.all),
    }


def _frozen(model: PreTrainedModel) -> bool:
    return any(not parameter.requires_grad for parameter in model.parameters())


def load_training_state(
    model: PreTrainedModel, optimizers: Optimizers, state: dict[str, Any]
) -> None:
    """Load what `training_state` returned."""
    options = StateDictOptions(strict=not _frozen(model))
    set_model_state_dict(model, state["model"], options=options)
    set_optimizer_state_dict(model, optimizers.all, state["optimizers"])


def number(value: Tensor) -> float:
    """Return a scalar as a number; sharded, it may be spread over the processes."""
    return (value.full_tensor() if isinstance(value, DTensor) else value).item()


def whole_weights(model: PreTrainedModel) -> dict[str, Any]:
    """Return every weight in full, on the CPU of rank 0; all processes call together."""
    return get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
