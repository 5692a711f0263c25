"""Optimizers and schedules: Muon for the hidden matrices, AdamW for the rest."""

from collections.abc import Iterable

import torch
from torch import nn

from components.lib.parameters import by_kind

_ADAM_BETAS = (0.9, 0.95)  # Brown et al. 2020 (GPT-3), appendix B


class Optimizers:
    """The optimizers of one model, stepped together.

    Hidden matrices go to Muon (Jordan 2024; `torch.optim.Muon`, whose learning rate is scaled to
    AdamW's update size as in Liu et al. 2025, "Muon is scalable for LLM training"), the rest
    to AdamW. Only matrices decay: norms and biases must not.
    """

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        weight_decay: float,
        embedding_multiplier: float = 1.0,
    ) -> None:
        """Sort the trainable parameters of `model`; a tied embedding is taken once."""
        kinds = by_kind(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self._peaks = [learning_rate, learning_rate * embedding_multiplier, *[learning_rate] * 2]
        muon = torch.optim.Muon(
            kinds["hidden"],
            lr=learning_rate,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        adamw = torch.optim.AdamW(
            [
                {"params": kinds["embedding"], "weight_decay": weight_decay},
                {"params": kinds["other matrix"], "weight_decay": weight_decay},
                {"params": kinds["vector"], "weight_decay": 0.0},
            ],
            lr=learning_rate,
            betas=_ADAM_BETAS,
            fused=True,
        )
        self._all: list[torch.optim.Optimizer] = [muon, adamw]

    def step(self, scale: float) -> None:
        """Update with the learning rate times `scale`, then forget the gradients."""
        groups = [group for optimizer in self._all for group in optimizer.param_groups]
        for group, peak in zip(groups, self._peaks, strict=True):
            group["lr"] = peak * scale
        for optimizer in self._all:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, object]]:
        """Return the state of each optimizer."""
        return [optimizer.state_dict() for optimizer in self._all]

    def load_state_dict(self, states: Iterable[dict[str, object]]) -> None:
        """Take back what `state_dict` returned."""
        for optimizer, state in zip(self._all, states, strict=True):
            optimizer.load_state_dict(state)


def warmup_stable_decay(
    step: int, num_steps: int, warmup_fraction: float, decay_fraction: float
) -> float:
    """Return the share of the learning rate at `step` (from 0): linear up, flat, linear to 0.

    The WSD schedule of Hu et al. 2024 (MiniCPM), with a linear decay (Hägele et al. 2024).
    """
    done = step + 1
    warmup = max(1, round(num_steps * warmup_fraction))
    decay = max(1, round(num_steps * decay_fraction))
    return min(1.0, done / warmup, (num_steps - step) / decay)
