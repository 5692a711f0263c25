"""When a step is not to be trusted: a gradient that is not finite, or a sudden spike."""

import math
import statistics

_WINDOW = 128  # steps; the length and the six deviations are OLMo 2's (OLMo et al. 2024, 3.3)
_MIN_HISTORY = 64
_LEAST_SPIKE = 0.01  # of the mean: on a flat curve, rounding must not count as a spike


class SpikeGuard:
    """Judges each step by the losses and gradient norms of the last 128."""

    def __init__(self, deviations: float, history: list[tuple[float, float]] | None = None) -> None:
        """Go on from a `history` of (loss, gradient norm), oldest first."""
        self._deviations = deviations
        self.history = list(history or [])

    def accepts(self, loss: float, norm: float) -> bool:
        """Return whether a step with this loss and gradient norm may be taken, and remember it."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return False
        losses, norms = zip(*self.history, strict=True) if self.history else ((), ())
        spikes = self._is_spike(loss, losses) or self._is_spike(norm, norms)
        self.history = [*self.history, (loss, norm)][-_WINDOW:]
        return not spikes

    def _is_spike(self, value: float, before: tuple[float, ...]) -> bool:
        if len(before) < _MIN_HISTORY:
            return False
        mean, deviation = statistics.fmean(before), statistics.stdev(before)
        return value > mean + max(self._deviations * deviation, _LEAST_SPIKE * abs(mean))
