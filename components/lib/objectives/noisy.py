"""NEFTune: noise on the embeddings of instructions (Jain et al. 2023, arXiv 2310.05914)."""

# B = examples of a batch, T = tokens of an example, D = width of the model

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from components.lib.device import put
from components.lib.examples.batches import POSITIONS, Batch
from components.lib.objectives.next_token import NextToken, narrowed


class NoisyEmbeddings(NextToken):
    """Predict each next token from embeddings with uniform noise of size alpha / sqrt(L D).

    L is the length of the dialogue that a token is of, whatever it is packed with. Draws come from
    torch's generator, which the loop seeds for each step: a resumed run draws the same.
    """

    def __init__(self, alpha: float) -> None:
        """Scale the noise by `alpha`; the paper takes 5 to 15."""
        super().__init__()
        self._alpha = alpha

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the terms in nats, summed over the targets."""
        batch = narrowed(batch)
        lengths = put(own_lengths(batch))

        def add_noise(module: nn.Module, _: object, embedded: Tensor) -> Tensor:
            scale = self._alpha / (lengths * embedded.shape[-1]).sqrt()
            noise = torch.empty_like(embedded).uniform_(-1, 1)
            return embedded + noise * scale[..., None].to(embedded.dtype)

        hook = model.get_input_embeddings().register_forward_hook(add_noise)
        try:
            return super().__call__(model, batch)
        finally:
            hook.remove()


def own_lengths(batch: Batch) -> NDArray[np.int64]:
    """Return, for each token, the tokens of the document that it is of, (B, T)."""
    if POSITIONS not in batch.extras:
        return np.broadcast_to(batch.widths()[:, None], batch.inputs.shape).copy()
    begins = batch.extras[POSITIONS] == 0
    begins[:, 0] = True
    documents = np.cumsum(begins.ravel()) - 1
    return np.bincount(documents)[documents].reshape(begins.shape)
