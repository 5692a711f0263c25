"""Choose: several smaller models, measured -> the one that a budget picks, and a picture of all."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from components.compress.comparison.candidates import Candidate, Refused
from components.compress.comparison.pareto import Point, pareto
from components.compress.fidelity import FIDELITY
from components.core.artifacts.base import Frozen
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.component import Component
from components.core.files import link_or_copy, write_json
from components.core.record import RECORD, REPORT

FRONTIER = "frontier.json"


class ChooseInputs(Frozen):
    """What `Choose` reads."""

    original: Checkpoint
    """The model before."""
    candidates: tuple[Candidate, ...]
    """What was made of it."""
    refused: tuple[Refused, ...] = ()
    """What could not be made."""


class Choose(Component[ChooseInputs, CompressedModel]):
    """Take the best export within a budget, and draw all that was tried.

    Only what a runtime serves, an export, can be chosen; pruned and distilled weights are drawn
    too. Writes the files of the chosen one, its `fidelity.json`, and under `report/` the frontier
    as `frontier.json`, `frontier.md` and `frontier.png`.
    """

    version: ClassVar[str] = "1.0.0"

    max_bits_per_byte_increase: float = Field(default=0.01, gt=-1)
    """Bits per byte that may be added, as a share of the original's."""
    max_divergence: float | None = Field(default=None, ge=0)
    """Nats of KL(original || smaller) a token, at most; without a number, any."""
    max_flipped: float | None = Field(default=None, ge=0, le=1)
    """Share of likeliest tokens that may change; without a number, any."""
    min_margin_kept: float = 0.5
    """Share of the original's margins that decisions must keep."""
    min_coverage: float = Field(default=0.9, ge=0, le=1)
    """Share of the weights that must be in few bits: an export in name alone is refused."""
    prefer: Literal["smallest", "fastest"] = "smallest"
    """Which of those within the budget is taken."""

    def run(self, inputs: ChooseInputs, out: Path) -> CompressedModel:
        """Write the picture, then the chosen model.

        Raises:
            ValueError: no export holds the budget.
        """
        from components.compress.comparison.page import write_pages

        verdicts = {each.method: list(self._objections(each)) for each in inputs.candidates}
        fitting = [each for each in inputs.candidates if not verdicts[each.method]]
        chosen = min(fitting, key=self._cost, default=None)
        points = [_point(each) for each in inputs.candidates]
        best = pareto(points)
        name = chosen.method if chosen else None
        (out / REPORT).mkdir(exist_ok=True)
        rows = [
            {
                **each.report.model_dump(mode="json", exclude={"path"}),
                "method": each.method,
                "is_on_frontier": each.method in best,
                "is_chosen": each.method == name,
                "objections": verdicts[each.method],
            }
            for each in inputs.candidates
        ]
        refused = [each.model_dump() for each in inputs.refused]
        write_json(out / REPORT / FRONTIER, {"candidates": rows, "refused": refused})
        write_pages(out / REPORT, inputs.candidates, inputs.refused, best, name)
        if chosen is None or not isinstance(chosen.model, CompressedModel):
            raise ValueError(_none(verdicts, inputs.refused))
        _link(chosen.model.path, out)
        shutil.copyfile(chosen.report.path / REPORT / FIDELITY, out / FIDELITY)
        return chosen.model.model_copy(update={"path": out, "fingerprint": out.name})

    def _objections(self, candidate: Candidate) -> Iterator[str]:
        """Yield why a candidate cannot be chosen."""
        found = candidate.report
        if not isinstance(candidate.model, CompressedModel):
            yield "it is no export"
        if not found.bits_per_byte_increase <= self.max_bits_per_byte_increase:
            yield (
                f"bits per byte {found.bits_per_byte_increase:+.2%} "
                f"(max_bits_per_byte_increase={self.max_bits_per_byte_increase:g})"
            )
        if self.max_divergence is not None and not found.divergence <= self.max_divergence:
            yield f"divergence {found.divergence:.4f} (max_divergence={self.max_divergence:g})"
        if self.max_flipped is not None and not found.flipped <= self.max_flipped:
            yield f"{found.flipped:.1%} of tokens flip (max_flipped={self.max_flipped:g})"
        if not found.margin_kept >= self.min_margin_kept:
            yield f"{found.margin_kept:.0%} of margins (min_margin_kept={self.min_margin_kept:g})"
        if not found.coverage >= self.min_coverage:
            yield f"{found.coverage:.0%} is small (min_coverage={self.min_coverage:g})"

    def _cost(self, candidate: Candidate) -> tuple[float, float]:
        size, speed = candidate.report.bytes_on_disk, candidate.report.decode_tokens_per_second
        return (size, -speed) if self.prefer == "smallest" else (-speed, size)


def _point(candidate: Candidate) -> Point:
    found = candidate.report
    return Point(
        candidate.method,
        found.bits_per_byte_increase,
        found.bytes_on_disk,
        found.decode_tokens_per_second,
    )


def _none(verdicts: dict[str, list[str]], refused: tuple[Refused, ...]) -> str:
    said = [f"{name}: {', '.join(why)}" for name, why in verdicts.items()]
    said += [f"{each.method}: {each.reason}" for each in refused]
    return (
        f"No export holds the budget. {'; '.join(said)}. Widen it (--set compress.choose."
        "max_bits_per_byte_increase=0.05, say), or bring in another method."
    )


def _link(folder: Path, out: Path) -> None:
    """Give the files of an export a second name in `out`."""
    for file in folder.rglob("*"):
        name = file.relative_to(folder)
        if file.is_file() and name.name != RECORD and not name.parts[0].startswith("."):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            if name.parts[0] != REPORT:
                link_or_copy(file, out / name)
