"""Optimizers: Muon for the hidden matrices, AdamW for the rest; or AdamW for all."""

from typing import Any

import torch
from torch import nn

from components.lib.models.parameters import by_kind
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.muon import Muon

_ADAM_BETAS = (0.9, 0.95)  # Brown et al. 2020 (GPT-3), appendix B


class Optimizers:
    """The optimizers of one model, stepped together.

    Hidden matrices go to Muon (Jordan 2024; `torch.optim.Muon`, whose learning rate is scaled to
    AdamW's update size as in Liu et al. 2025, "Muon is scalable for LLM training"), the rest
    to AdamW. Only matrices decay: norms and biases must not.
    """

    def __init__(self, model: nn.Module, training: Hyperparameters) -> None:
        """Sort the trainable parameters of `model`; a tied embedding is taken once."""
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.all: list[torch.optim.Optimizer] = []
        kinds = by_kind(model)
        rate, decay = training.learning_rate, training.weight_decay
        faster = rate * training.embedding_multiplier
        if training.optimizer == "muon":
            hidden = kinds.pop("hidden")
            self.all.append(
                Muon(hidden, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            )
        groups = [
            {
                "params": parameters,
                "lr": faster if kind == "embedding" else rate,
                "weight_decay": 0.0 if kind == "vector" else decay,
            }
            for kind, parameters in kinds.items()
            if parameters
        ]
        if groups:  # adapters are matrices alone
            self.all.append(torch.optim.AdamW(groups, lr=rate, betas=_ADAM_BETAS, fused=True))
        self._peaks = [group["lr"] for group in self._groups()]

    def step(self, scale: float) -> None:
        """Update with the learning rate times `scale`, then forget the gradients."""
        for group, peak in zip(self._groups(), self._peaks, strict=True):
            group["lr"] = peak * scale
        for optimizer in self.all:
            optimizer.step()
        self.forget()

    def forget(self) -> None:
        """Forget the gradients."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    def _groups(self) -> list[dict[str, Any]]:
        """Return the groups of all optimizers: torch makes new ones when a state is loaded."""
        return [group for optimizer in self.all for group in optimizer.param_groups]
