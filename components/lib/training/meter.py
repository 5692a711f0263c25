"""Where the time of a training goes, and how fast it is."""

import resource
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager

import torch

_UNTRAINED = ("evaluate", "checkpoint")  # phases that train on no token


class Meter:
    """Counts tokens against the seconds of each phase."""

    def __init__(self, flops_per_token: float, peak: float) -> None:
        """Take the FLOP/s that all processes reach together as the `peak`."""
        self._flops_per_token = flops_per_token
        self._peak = peak
        self._num_tokens = 0
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Add the time of the block to the phase `name`."""
        start = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - start

    def count(self, num_tokens: int) -> None:
        """Count tokens that were trained on, over all processes."""
        self._num_tokens += num_tokens

    def read(self) -> dict[str, float]:
        """Return the rates since the last reading, seconds by phase, and the peak of memory.

        `peak_flops_share` is the share of the measured matmul peak that the model's own FLOPs make.
        """
        trained = sum(s for name, s in self._seconds.items() if name not in _UNTRAINED)
        per_second = self._num_tokens / trained
        phases = {f"phase.{name}_seconds": seconds for name, seconds in self._seconds.items()}
        self._num_tokens = 0
        self._seconds.clear()
        return {
            "tokens_per_second": per_second,
            "peak_flops_share": per_second * self._flops_per_token / self._peak,
            "memory_gigabytes": peak_memory() / 1e9,
            **phases,
        }


def peak_memory() -> int:
    """Return the most bytes this process held: on the GPU if it has one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
