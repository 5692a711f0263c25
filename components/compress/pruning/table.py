"""What each part of a model costs at each level, and how to spread a sparsity by that."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from components.core.artifacts.base import Frozen

TABLE = "sensitivity.json"


class Row(Frozen):
    """One part of the model at one level."""

    part: str
    """Name of the part: a block, a kind of matrix, or a matrix."""
    matrices: tuple[str, ...]
    """Names of the matrices that were changed."""
    level: float
    """Share of their weights that went, below 1, or the bits that they were rounded to."""
    kl: float
    """Nats of a token by which the model's next-token probabilities then differ from the whole
    model's: the mean Kullback-Leibler divergence."""
    added_nats: float
    """Nats of a token that the text then costs more."""


class Table(Frozen):
    """All rows of a report."""

    treatment: str
    """What was done to each part."""
    nats: float
    """Nats of a token that the text costs the whole model."""
    rows: tuple[Row, ...]
    """One a part and level."""

    @classmethod
    def read(cls, folder: Path) -> "Table":
        """Return the table of a report's folder."""
        return cls.model_validate_json((folder / TABLE).read_text("utf-8"))

    def levels(self) -> tuple[float, ...]:
        """Return the levels, in order."""
        return tuple(sorted({row.level for row in self.rows}))

    def kl_of(self, matrix: str) -> dict[float, float]:
        """Return what a matrix costs at each level: shared out among those changed together.

        A matrix that was changed as one of a block and as one of its kind has the geometric mean of
        both shares.

        Raises:
            ValueError: it was never changed.
        """
        found: dict[float, float] = {}
        for level in self.levels():
            shares = [
                max(row.kl, 0.0) / len(row.matrices)
                for row in self.rows
                if row.level == level and matrix in row.matrices
            ]
            if not shares:
                raise ValueError(
                    f"The sensitivity report says nothing of {matrix}: it is of another model."
                )
            product = 1.0
            for share in shares:
                product *= share
            found[level] = product ** (1 / len(shares))
        return found


def spread(table: Table, sizes: Mapping[str, int], sparsity: float) -> dict[str, float]:
    """Return the share of each matrix that goes so that `sparsity` of all does, at least cost.

    The costs of matrices add up, and between two levels a cost is a straight line; where the line
    bends down it is replaced by one below, so that taking the cheapest step first is best of all.
    No matrix gets sparser than the highest level that was measured.

    Raises:
        ValueError: that level is below `sparsity`, or the table is of another model or treatment.
    """
    most = max(table.levels())
    if most >= 1:
        raise ValueError(
            f"The sensitivity report is of {table.treatment} weights, not of sparse ones: measure "
            "it with a treatment that has a method of pruning."
        )
    if sparsity > most:
        raise ValueError(
            f"The sensitivity report measured up to {most:g}, and sparsity={sparsity:g} is above: "
            "measure a higher level."
        )
    steps = sorted(
        (slope / size, name, length)
        for name, size in sizes.items()
        for length, slope in _steps(table.kl_of(name))
    )
    left, shares = sparsity * sum(sizes.values()), dict.fromkeys(sizes, 0.0)
    for _, name, length in steps:
        taken = min(length, left / sizes[name])
        shares[name] += taken
        left -= taken * sizes[name]
    return shares


def _steps(costs: Mapping[float, float]) -> list[tuple[float, float]]:
    """Return the steps from dense to the highest level: the length of each, and its slope."""
    hull = _lower_hull([(0.0, 0.0), *sorted(costs.items())])
    return [
        (end - start, (high - low) / (end - start)) for (start, low), (end, high) in pairwise(hull)
    ]


def _lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points, in order of their level, that no line between two others is below."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) > 1:
            (x0, y0), (x1, y1) = hull[-2:]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append((x, y))
    return hull
