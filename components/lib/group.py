"""The data-parallel processes, and this one among them."""

from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


def gloo_group(timeout: timedelta | None = None) -> dist.ProcessGroup:
    """Return another group of all processes, on the CPU; all call together."""
    group = dist.new_group(backend="gloo", timeout=timeout)
    assert isinstance(group, dist.ProcessGroup)
    return group


class Group(NamedTuple):
    """This process among the data-parallel ones."""

    rank: int
    size: int

    @classmethod
    def current(cls) -> "Group":
        """Return the group of this process; a plain process is alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls(0, 1)

    def sum(self, value: Tensor) -> Tensor:
        """Add `value` up over the group, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def sum_integers(self, values: list[int], device: torch.device) -> list[int]:
        """Return each of 64-bit `values` summed over the group; sums wrap around."""
        if self.size == 1:
            return values
        return self.sum(torch.tensor(values, dtype=torch.int64, device=device)).tolist()
