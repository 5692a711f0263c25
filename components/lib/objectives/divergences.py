"""How far a student's distribution is from its teacher's."""

# N = positions, K = outcomes

import math
from collections.abc import Callable

import torch
from torch import Tensor

Divergence = Callable[[Tensor, Tensor, float], Tensor]
"""Takes ln p of the teacher and of the student, both (N, K), and beta; returns nats, (N,)."""


def forward_kl(teacher: Tensor, student: Tensor, beta: float) -> Tensor:
    """KL(teacher || student): the student covers all that the teacher may say (Hinton 2015)."""
    return _kl(teacher, student)


def reverse_kl(teacher: Tensor, student: Tensor, beta: float) -> Tensor:
    """KL(student || teacher): the student says only what the teacher may (Gu et al. 2023)."""
    return _kl(student, teacher)


def jensen_shannon(teacher: Tensor, student: Tensor, beta: float) -> Tensor:
    """The generalised divergence of Agarwal et al. 2023 (arXiv 2306.13649, equation 1).

    beta KL(teacher || m) + (1 - beta) KL(student || m), with m = beta teacher + (1 - beta) student.
    """
    mixed = torch.logaddexp(teacher + math.log(beta), student + math.log(1 - beta))
    return beta * _kl(teacher, mixed) + (1 - beta) * _kl(student, mixed)


def _kl(one: Tensor, other: Tensor) -> Tensor:
    return (one.exp() * (one - other)).sum(-1)


DIVERGENCES: dict[str, Divergence] = {
    each.__name__: each for each in (forward_kl, reverse_kl, jensen_shannon)
}
