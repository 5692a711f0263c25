"""A distribution over a vocabulary as some of its tokens, and all others as one."""

# N = positions, V = vocabulary, K = tokens that are told apart

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.lib.objectives.cross_entropy import parts


def log_buckets(logits: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """Return ln p of the tokens `ids` (N, K), and at last of all others together, (N, K + 1).

    p is softmax(logits / temperature), for logits (N, V) in any precision. Computed in float32,
    some rows at a time. Where K = V there are no others: their column is -inf.
    """
    made: Any = _LogBuckets.apply(logits, ids, temperature)
    return made


class _LogBuckets(torch.autograd.Function):
    """Keeps the logits as they are, and what it made of them: no copy of all logits in float32."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
        """Return the logarithms, in float32."""
        made = torch.empty(len(ids), ids.shape[1] + 1, device=logits.device)
        normalisers = torch.empty(len(ids), 1, device=logits.device)
        for rows in parts(logits):
            some, chosen = logits[rows].float() / temperature, ids[rows]
            picked = some.gather(1, chosen)
            normalisers[rows] = some.logsumexp(1, keepdim=True)
            rest = some.scatter_(1, chosen, -torch.inf).logsumexp(1, keepdim=True)
            made[rows] = torch.cat([picked, rest], 1) - normalisers[rows]
        ctx.save_for_backward(logits, ids, made, normalisers)
        ctx.temperature = temperature
        return made

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None]:
        """Return the gradient of the logits.

        With g of the buckets, softmax p and its part r among the others: of a token in `ids`,
        g - p sum(g); of another, g_rest r - p sum(g); both over the temperature.
        """
        logits, ids, made, normalisers = ctx.saved_tensors
        of_logits = torch.empty_like(logits)
        for rows in parts(logits):
            given, chosen = gradients[0][rows].float(), ids[rows]
            total = given.sum(1, keepdim=True)
            some = (logits[rows].float() / ctx.temperature).sub_(normalisers[rows])  # ln p
            of_chosen = given[:, :-1] - total * some.gather(1, chosen).exp()
            among_rest = (some - made[rows, -1:]).exp_()  # r; of no meaning at `ids`
            found = among_rest.mul_(given[:, -1:]).sub_(some.exp_().mul_(total))
            of_logits[rows] = found.scatter_(1, chosen, of_chosen).div_(ctx.temperature)
        return of_logits, None, None
