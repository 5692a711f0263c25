"""What an architecture decides: which sizes fit it, and which model of transformers they make."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Architecture(ABC):
    """The transformer as published in 2017, of which the others override what they changed.

    A feed-forward network of 4 times the width, as many heads of keys and values as of queries,
    and learned positions, to which any size of a head is right.
    """

    reads_both_ways: ClassVar[bool] = False
    """Whether each position sees those after it, as in an encoder. Such a model writes no text."""
    objective: ClassVar[str] = "next_token"
    """Its pretraining objective, by the name in `components/lib/objectives/named.py`."""
    begins_at_zero: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of the matrices that write to the residual stream. They start at zero, so
    that every block begins as the identity; without them the model keeps the published start."""
    without: ClassVar[Mapping[str, str]] = {}
    """Fields of a recipe that it does not know, each with the reason."""

    def problems(self, shape: Shape) -> Iterator[str]:
        """Yield what does not fit, a sentence each, with the values and the remedy."""
        if shape.width % shape.num_heads:
            yield not_a_multiple(shape)
        if shape.num_key_value_heads != shape.num_heads:
            yield (
                f"num_key_value_heads={shape.num_key_value_heads} differs from "
                f"num_heads={shape.num_heads}, and {shape.architecture} has no grouped queries: "
                f"take num_key_value_heads={shape.num_heads}."
            )

    def check(self, shape: Shape) -> None:
        """Raise one ValueError that names all that does not fit, if anything does not."""
        if problems := list(self.problems(shape)):
            raise ValueError(f"This {shape.architecture} cannot be built: {' '.join(problems)}")

    def default_num_key_value_heads(self, num_heads: int) -> int:
        """Return the heads of keys and values of a model whose recipe does not say."""
        return num_heads

    def feed_forward_width(self, shape: Shape) -> int:
        """Return the inner width of one feed-forward network."""
        return 4 * shape.width

    @abstractmethod
    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return transformers' model with random weights; every config takes what is `common`."""


def not_a_multiple(shape: Shape) -> str:
    """Return the sentence on a width that its heads do not divide."""
    return (
        f"width={shape.width} is not a multiple of num_heads={shape.num_heads}: "
        f"take num_heads={_nearest_num_heads(shape)} or width={next_width(shape)}."
    )


def next_width(shape: Shape) -> int:
    """Return the least width from this one on that gives heads of an even size."""
    return -(-shape.width // (2 * shape.num_heads)) * 2 * shape.num_heads


def _nearest_num_heads(shape: Shape) -> int:
    """Return the number of heads of an even size that is nearest, best one that groups divide."""

    def cost(number: int) -> tuple[bool, int, int]:
        breaks_groups = number % shape.num_key_value_heads != 0
        return breaks_groups, abs(number - shape.num_heads), -number

    halves = range(1, shape.width // 2 + 1)
    return min((n for n in halves if shape.width % (2 * n) == 0), key=cost, default=1)
