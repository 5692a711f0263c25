"""The loss that every model is judged by, whoever trained it."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.work import Work, held_out_windows

_BATCH = 16


@torch.no_grad()
def held_out_loss(model: nn.Module, work: Work) -> float:
    """Return the mean nats of a next token of the validation split, computed in float32."""
    windows = torch.from_numpy(held_out_windows(work))
    model.eval()
    total = 0.0
    for rows in windows.split(_BATCH):
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        losses = F.cross_entropy(logits.float().transpose(1, 2), rows[:, 1:], reduction="none")
        total += float(losses.double().sum())
    return total / windows[:, 1:].numel()
