"""Validate: a data card, and the one of the revision before -> whether to train on it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import DataCard
from components.core.artifacts.reports import Verdict
from components.core.component import Component
from components.core.files import write_json

_DISTRIBUTIONS = {
    "lengths": ("statistics", "words"),
    "languages": ("statistics", "languages"),
    "words": ("statistics", "ngrams", "1"),
}


class ValidateInputs(Frozen):
    """What `Validate` reads."""

    card: DataCard
    """What is to be judged."""
    previous: DataCard | None = None
    """The card of the revision before; without one there is no drift."""


class Bound(Frozen):
    """Where one measure of a card may lie."""

    measure: str
    """Name of the measure, such as `tokens`, `duplicate_rate`, `language.en` or `drift.words`."""
    low: float | None = None
    """Least value."""
    high: float | None = None
    """Greatest value."""
    tolerance: float = Field(default=0.0, ge=0, lt=1)
    """Share of a bound by which a value may miss it: that is noted, and not a breach."""

    @model_validator(mode="after")
    def _bounds_something(self) -> "Bound":
        if self.low is None and self.high is None:
            raise ValueError(f"the bound of {self.measure!r} has neither `low` nor `high`")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"{self.measure!r}: low {self.low} is above high {self.high}")
        return self

    def breach(self, value: float) -> tuple[str, bool] | None:
        """Return a sentence with the numbers, and whether it is beyond the tolerance, or None."""
        for name, bound, excess in (
            ("below the least", self.low, (self.low or 0) - value),
            ("above the greatest", self.high, value - (self.high or 0)),
        ):
            if bound is not None and excess > 0:
                margin = self.tolerance * abs(bound)
                sentence = f"{self.measure} is {value:.6g}, {name}, {bound:.6g}"
                if self.tolerance:
                    sentence += f", with a tolerance of {self.tolerance:.0%}"
                return sentence, excess > margin
        return None


class Validate(Component[ValidateInputs, Verdict]):
    """Hold every bound against the card (as oumi's `analyze` does), drift from the last included.

    Drift is the Jensen-Shannon divergence (Lin 1991), in bits: 0 where two distributions are equal,
    1 where they share nothing; `drift.lengths`, `drift.languages`, `drift.words`. Writes
    `report/verdict.json`.
    """

    version: ClassVar[str] = "1.0.0"

    bounds: tuple[Bound, ...] = (
        Bound(measure="documents", low=3),
        Bound(measure="duplicate_rate", high=0.5),
    )
    """What has to hold. Measures of drift are skipped where there is no revision before."""

    def run(self, inputs: ValidateInputs, out: Path) -> Verdict:
        """Judge the card.

        Raises:
            ValueError: a bound is of a measure that the card does not have.
        """
        measures = inputs.card.measures | _drift(inputs)
        rows, failures = list[dict[str, Any]](), list[str]()
        for bound, value in self._held(measures, inputs.previous is not None):
            breach = bound.breach(value)
            row = bound.model_dump() | {"value": value, "holds": breach is None}
            if breach is not None:
                row |= {"says": breach[0], "within_tolerance": not breach[1]}
                failures += [breach[0]] if breach[1] else []
            rows.append(row)
        (out / "report").mkdir(exist_ok=True)
        write_json(out / "report" / "verdict.json", {"bounds": rows, "measures": measures})
        return Verdict(path=out, passed=not failures, failures=tuple(failures))

    def _held(
        self, measures: dict[str, float], has_previous: bool
    ) -> Iterator[tuple[Bound, float]]:
        for bound in self.bounds:
            if bound.measure in measures:
                yield bound, measures[bound.measure]
            elif bound.measure.startswith(("language.", "source.")):
                yield bound, 0.0  # a share of nothing
            elif has_previous or not bound.measure.startswith("drift."):
                known = ", ".join(sorted(measures))
                raise ValueError(f"No measure {bound.measure!r} to bound. There are: {known}.")


def _drift(inputs: ValidateInputs) -> dict[str, float]:
    if inputs.previous is None:
        return {}
    now, before = _content(inputs.card), _content(inputs.previous)
    return {
        f"drift.{name}": divergence(_find(now, path), _find(before, path))
        for name, path in _DISTRIBUTIONS.items()
    }


def _content(card: DataCard) -> dict[str, Any]:
    return json.loads((card.path / "report" / "card.json").read_text("utf-8"))


def _find(content: dict[str, Any], path: tuple[str, ...]) -> dict[str, int]:
    found: Any = content
    for name in path:
        found = found[name]
    return found


def divergence(left: dict[str, int], right: dict[str, int]) -> float:
    """Return the Jensen-Shannon divergence of two histograms in bits, 0 to 1 (Lin 1991, eq. 4.1).

    An empty histogram is as far as can be from one that is not.
    """
    import numpy as np

    names = sorted({*left, *right})
    counts = np.array([[side.get(name, 0) for name in names] for side in (left, right)], float)
    totals = counts.sum(axis=1, keepdims=True)
    if not totals.all():
        return float(totals.any())
    shares = counts / totals
    mean = shares.mean(axis=0)
    terms = np.where(shares > 0, shares * np.log2(np.where(shares > 0, shares / mean, 1)), 0)
    return float(min(1.0, max(0.0, terms.sum() / 2)))
