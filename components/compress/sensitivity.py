"""Sensitivity: a model and some text -> what each part costs when it alone is made smaller."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from components.compress.pruning.calibration import Calibration
from components.compress.pruning.table import TABLE, Row, Table
from components.compress.pruning.treatments import Rounded, Sparser
from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.artifacts.models import Checkpoint
from components.core.artifacts.reports import SensitivityReport
from components.core.component import Component
from components.core.files import write_json
from components.core.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from components.compress.pruning.trial import Trial
    from components.lib.models.sparsity import Matrix

logger = logging.getLogger(__name__)

PICTURE = "sensitivity.svg"


class SensitivityInputs(Frozen):
    """What `Sensitivity` reads."""

    model: Checkpoint
    """The model."""
    shards: TokenShards
    """Documents as tokens of this model: some of the train split are scored."""


class Sensitivity(Component[SensitivityInputs, SensitivityReport]):
    """Change one part of a model at a time, and measure how far its predictions move.

    Each block, and each kind of matrix in all blocks together, or each matrix by itself. Writes
    `sensitivity.json`, the table, which `Prune` spreads a sparsity by, and `sensitivity.svg`.
    """

    version: ClassVar[str] = "1.0.0"

    treatment: Sparser | Rounded = Sparser()
    """What is done to a part."""
    parts: Literal["blocks and kinds", "matrices"] = "blocks and kinds"
    """What is changed together. Matrices one by one take about 6 times as long."""
    calibration: Calibration = Calibration(num_sequences=4, sequence_length=512)
    """The text."""

    def run(self, inputs: SensitivityInputs, out: Path) -> SensitivityReport:
        """Write the table and the picture.

        Raises:
            ValueError: there is too little text, or the model has layers that cannot be changed so.
        """
        import torch

        from components.compress.pruning.picture import picture
        from components.compress.pruning.trial import Trial
        from components.lib.device import move
        from components.lib.models.folders import load_model

        torch.set_num_threads(settings().num_threads)
        ids = self.calibration.read(inputs.shards, inputs.model)
        with Trial(move(load_model(inputs.model.path)), ids) as trial:
            rows = tuple(self._rows(trial.matrices, trial))
            table = Table(treatment=self.treatment.name, nats=trial.nats, rows=rows)
        write_json(out / TABLE, table.model_dump(mode="json"))
        (out / PICTURE).write_text(picture(table), encoding="utf-8")
        strongest = [row for row in rows if row.level == self.treatment.measured[-1]]
        by_cost = sorted(strongest, key=lambda row: row.kl / len(row.matrices))
        return SensitivityReport(
            path=out,
            model=inputs.model.fingerprint,
            treatment=self.treatment.name,
            levels=self.treatment.measured,
            most_sensitive=by_cost[-1].part,
            least_sensitive=by_cost[0].part,
        )

    def _rows(self, matrices: "list[Matrix]", trial: "Trial") -> "Iterator[Row]":
        for part, changed in self._groups(matrices).items():
            for level in self.treatment.measured:
                kl, added = trial.cost(changed, self._at(level, trial))
                names = tuple(matrix.name for matrix in changed)
                yield Row(part=part, matrices=names, level=level, kl=kl, added_nats=added)
            logger.info("measured %s", part)

    def _at(self, level: float, trial: "Trial") -> "Callable[[Matrix], Tensor]":
        """Return what makes the weights of a matrix at a level."""
        return lambda matrix: self.treatment.apply(matrix.weight, trial.moments.of(matrix), level)

    def _groups(self, matrices: "list[Matrix]") -> "dict[str, list[Matrix]]":
        """Return the parts, by name: in order, what is changed together."""
        found: dict[str, list[Matrix]] = {}
        for matrix in matrices:
            if self.parts == "matrices":
                found[f"block {matrix.block} {matrix.kind}"] = [matrix]
            else:
                found.setdefault(f"block {matrix.block}", []).append(matrix)
        if self.parts == "blocks and kinds":
            for matrix in matrices:
                found.setdefault(matrix.kind, []).append(matrix)
        return found
