"""Optimizers: Muon for the hidden matrices, AdamW for the rest; or AdamW for all."""

import torch
from torch import nn

from components.lib.plan import Training

_ADAM_BETAS = (0.9, 0.95)  # Brown et al. 2020 (GPT-3), appendix B


class Optimizers:
    """The optimizers of one model, stepped together.

    Hidden matrices go to Muon (Jordan 2024; `torch.optim.Muon`, whose learning rate is scaled to
    AdamW's update size as in Liu et al. 2025, "Muon is scalable for LLM training"); embeddings,
    norms and the output head go to AdamW. Only matrices decay: norms must not.
    """

    def __init__(self, model: nn.Module, training: Training) -> None:
        """Sort the trainable parameters of `model`; a tied embedding is taken once."""
        rate, weight_decay = training.learning_rate, training.weight_decay
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        hidden = [p for name, p in named if p.ndim == 2 and _is_hidden(name)]
        other = [p for name, p in named if p.ndim != 2 or not _is_hidden(name)]
        self.parameters = [p for _, p in named]
        embeddings = [p for p in other if p.ndim >= 2]
        self._peaks = [rate, rate * training.embedding_multiplier, rate]
        groups = [
            {"params": embeddings, "weight_decay": weight_decay},
            {"params": [p for p in other if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.all: list[torch.optim.Optimizer] = []
        if training.optimizer == "muon":
            muon = torch.optim.Muon(
                hidden,
                lr=rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            self.all.append(muon)
        else:
            groups.insert(0, {"params": hidden, "weight_decay": weight_decay})
        adamw = torch.optim.AdamW(groups, lr=rate, betas=_ADAM_BETAS, fused=True)
        self.all.append(adamw)

    def step(self, scale: float) -> None:
        """Update with the learning rate times `scale`, then forget the gradients."""
        groups = [group for optimizer in self.all for group in optimizer.param_groups]
        for group, peak in zip(groups, self._peaks, strict=True):
            group["lr"] = peak * scale
        for optimizer in self.all:
            optimizer.step()
        self.forget()

    def forget(self) -> None:
        """Forget the gradients."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)


def _is_hidden(name: str) -> bool:
    return "embed" not in name and "lm_head" not in name
