"""A threshold of the gate, with what was measured."""

from components.core.artifacts.base import Frozen


class Check(Frozen):
    """One threshold."""

    name: str
    """What must hold."""
    value: float
    """What was measured."""
    threshold: float
    """The largest value that passes."""
    detail: str = ""
    """What exactly is wrong, where a number does not say it."""

    @property
    def holds(self) -> bool:
        """Whether the value is within the threshold."""
        return self.value <= self.threshold

    def sentence(self) -> str:
        """Say what holds or not, with the numbers."""
        verb = "holds" if self.holds else f"fails by {self.value - self.threshold:.4f}"
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.name}: {self.value:.4f} against at most {self.threshold:.4f}, {verb}{detail}"
