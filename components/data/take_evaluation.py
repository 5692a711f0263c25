"""TakeEvaluation: the pinned `data/` -> what models are tested on and must never be trained on."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataFiles, EvaluationSets
from components.core.component import Component
from components.data.repository.pinned import matching, take

_SETS = r"evaluation/[^/]+/documents(-\d{5})?\.jsonl"
_MICROTASKS = r"instructions/test\.jsonl"


def evaluation_in(data: DataFiles) -> DataFiles:
    """Return the files of the evaluation sets, and that of the held-out micro-tasks."""
    return matching(data, f"{_SETS}|{_MICROTASKS}")


class TakeEvaluation(Component[DataFiles, EvaluationSets]):
    """Link the evaluation sets out of `data/`, and the held-out micro-tasks beside them."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataFiles, out: Path) -> EvaluationSets:
        """Link the files that `evaluation_in` chose.

        Raises:
            ValueError: they cannot be had.
        """
        take(inputs, out, below="(evaluation|instructions)/")
        names = {file.name.split("/")[1] for file in matching(inputs, _SETS).files}
        return EvaluationSets(path=out, revision=inputs.revision, names=tuple(sorted(names)))
