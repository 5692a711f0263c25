"""The Pareto set: what no other beats, by its definition."""

from hypothesis import given
from hypothesis import strategies as st

from components.compress.comparison.pareto import Point, pareto

_numbers = st.integers(0, 4)
_points = st.lists(st.tuples(_numbers, _numbers, _numbers), max_size=8).map(
    lambda rows: [Point(str(place), *row) for place, row in enumerate(rows)]
)


@given(_points)
def test_a_point_is_left_out_if_and_only_if_another_is_as_good_and_in_something_better(points):
    def beats(one: Point, other: Point) -> bool:
        as_good = (
            one.cost <= other.cost
            and one.num_bytes <= other.num_bytes
            and one.tokens_per_second >= other.tokens_per_second
        )
        return as_good and one[1:] != other[1:]

    expected = {p.method for p in points if not any(beats(other, p) for other in points)}
    assert pareto(points) == expected


def test_what_is_broken_is_beaten_by_anything() -> None:
    broken = Point("broken", float("nan"), 1, 1e9)
    assert pareto([broken, Point("sound", 0.5, 10, 1)]) == {"sound"}
