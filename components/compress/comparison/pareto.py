"""Which of several points are worth having: the Pareto set."""

from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A smaller model, by what it costs and what it saves."""

    method: str
    """What it is called."""
    cost: float
    """Quality that is lost; less is better."""
    num_bytes: float
    """Size; less is better."""
    tokens_per_second: float
    """Speed; more is better."""


def pareto(points: Sequence[Point]) -> set[str]:
    """Return the methods that no other beats: none is as good in all three and better in one.

    What has a cost that is no number is beaten by anything.
    """
    valid = [each for each in points if each.cost == each.cost]
    return {each.method for each in valid if not any(_beats(other, each) for other in valid)}


def _beats(one: Point, other: Point) -> bool:
    mine = (one.cost, one.num_bytes, -one.tokens_per_second)
    yours = (other.cost, other.num_bytes, -other.tokens_per_second)
    return mine != yours and all(a <= b for a, b in zip(mine, yours, strict=True))
