"""What a model must still do after parts of it have gone."""

# T = tokens of a text, V = vocabulary

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

_LEAST_SPREAD = 1e-4  # of the logits over the positions, as a share of their size


@torch.no_grad()
def require_output(model: PreTrainedModel, row: Tensor, asked: str) -> None:
    """Check that the logits of a text (1, T) are numbers, and not the same at every position.

    Raises:
        ValueError: they are not; what was `asked` was too much.
    """
    call: Any = model.eval()
    logits = call(input_ids=row.to(model.device), use_cache=False).logits[0]  # (T, V)
    if not bool(logits.isfinite().all()):
        raise ValueError(f"With {asked} the model gives logits that are no numbers: ask for less.")
    if float(logits.std(0).mean()) <= _LEAST_SPREAD * float(logits.abs().mean()):
        raise ValueError(
            f"With {asked} the model says the same after every text: it is broken. Ask for less."
        )
