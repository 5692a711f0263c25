"""What holds of the weights through a training, whatever the optimizer does to them."""

from typing import Protocol

from components.lib.group import Group


class Constraint(Protocol):
    """Sees every step from both sides of the optimizer.

    It keeps no state of its own: what it does follows from the weights, the step and the model that
    the training began with, so that a resumed training does the same.
    """

    def before(self) -> None:
        """Change the gradient of the whole batch, before it is clipped and judged."""
        ...

    def after(self, num_steps: int, rate_share: float) -> None:
        """Change the weights after the optimizer's step, the `num_steps`-th.

        `rate_share` is the share of the peak learning rate that the step had.
        """
        ...

    def observed(self, group: Group) -> dict[str, float]:
        """Return what the metrics say of it; called by all processes together."""
        ...


class Unconstrained(Constraint):
    """Leaves all as it is."""

    def before(self) -> None:
        """Leave the gradient."""

    def after(self, num_steps: int, rate_share: float) -> None:
        """Leave the weights."""

    def observed(self, group: Group) -> dict[str, float]:
        """Return nothing."""
        return {}
