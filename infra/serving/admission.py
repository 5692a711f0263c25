"""Backpressure: who is let in, and when those who are sent away should come again."""

import math
from collections.abc import Generator
from contextlib import contextmanager

from infra.serving.models import ServedModel
from infra.serving.options import Limits
from infra.serving.refusals import Refusal

_WEIGHT = 0.1  # of the last request in the mean time of an answer
_MOST_SECONDS = 60


class Admission:
    """Counts what is at work. For the thread of the server alone."""

    def __init__(self, limits: Limits) -> None:
        """Let in as many as the limits say."""
        self._limits = limits
        self._mean_seconds = 1.0
        self.num_requests = 0
        """Requests that are read or answered."""

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a request.

        Raises:
            Refusal: there are too many.
        """
        if self.num_requests >= self._limits.max_requests:
            raise Refusal(429, f"{self.num_requests} requests are at work.", "busy", retry_after=1)
        self.num_requests += 1
        try:
            yield
        finally:
            self.num_requests -= 1

    def check(self, model: ServedModel, number: int) -> None:
        """Make sure that `number` more answers find a slot, or a place in the queue.

        Raises:
            Refusal: the queue is full.
        """
        load = model.engine.load()
        ahead = load.waiting + load.running
        if number > 0 and ahead + number > load.num_slots + self._limits.max_waiting:
            rounds = max(1, ahead + number - load.num_slots) / load.num_slots
            seconds = min(_MOST_SECONDS, max(1, math.ceil(rounds * self._mean_seconds)))
            raise Refusal(
                429,
                f"{model.found.name} has {load.running} requests at work and {load.waiting} that "
                f"wait: try again in {seconds} s.",
                "busy",
                retry_after=seconds,
            )

    def answered(self, seconds: float) -> None:
        """Note how long an answer took."""
        self._mean_seconds += _WEIGHT * (seconds - self._mean_seconds)
