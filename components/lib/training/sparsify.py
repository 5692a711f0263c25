"""How weights become zero while a model is trained, beside those that are zero already."""

from typing import Self

from pydantic import Field, model_validator

from components.core.artifacts.base import Frozen


class Gradual(Frozen):
    """Magnitude pruning that rises with training, and leaves time to recover after each rise.

    Zhu and Gupta 2017, "To prune, or not to prune" (arXiv 1710.01878), equation 1: the sparsity
    goes as a cubic from that of the model to the final one, fast at first. In each linear layer of
    the blocks the weights nearest to zero go.
    """

    final_sparsity: float = Field(default=0.5, gt=0, lt=1)
    """Share of each layer's weights that are zero from `end` on."""
    begin: float = Field(default=0.0, ge=0, lt=1)
    """When the sparsity begins to rise, as a share of the steps."""
    end: float = Field(default=0.5, gt=0, le=1)
    """When it has risen, as a share of the steps; the rest is recovery."""
    every: int = Field(default=10, ge=1)
    """Steps between two rises."""

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.begin >= self.end:
            raise ValueError(f"begin={self.begin:g} is not before end={self.end:g}.")
        return self

    def sparsity(self, step: int, num_steps: int, initial: float) -> float:
        """Return how sparse a layer is after `step` of `num_steps`, that was `initial` at first."""
        if initial >= self.final_sparsity:
            return initial
        passed = (step / num_steps - self.begin) / (self.end - self.begin)
        left = 1 - min(1.0, max(0.0, passed))
        return self.final_sparsity + (initial - self.final_sparsity) * left**3

    def is_due(self, step: int, num_steps: int) -> bool:
        """Return whether the sparsity rises after `step`."""
        return step % self.every == 0 or step == num_steps


class SoftThreshold(Frozen):
    """An L1 penalty on the weights, by the step that makes true zeros (Daubechies et al. 2004).

    After each step every weight of the blocks' linear layers moves toward zero by the learning rate
    times `strength`, and stops there: the proximal operator of strength x |w|. As AdamW's weight
    decay is, it is kept apart from the gradient, which would be divided by its own size.
    """

    strength: float = Field(default=0.02, gt=0)
    """Weight of the sum of |w|, where the learning rate is AdamW's."""
