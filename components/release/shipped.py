"""What a release ships, and the model whose template and ends it was taught by."""

from collections.abc import Iterator
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Comparisons, Dialogues, EvaluationSets
from components.core.artifacts.models import Checkpoint, CompressedModel


class Shipped(Frozen):
    """The models of a release, and what they are held against."""

    base: Checkpoint
    """The first model of the run: trainings rendered dialogues by its chat template."""
    model: Checkpoint
    """The last model that transformers loads."""
    compressed: CompressedModel | None
    """Its export, if the recipe compresses."""
    evaluation: EvaluationSets
    """Held-out micro-tasks, in its `test.jsonl`."""
    sets: tuple[Dialogues | Comparisons, ...] = ()
    """The named sets that were learnt, as they were prepared."""

    def parts(self) -> Iterator[tuple[str, Checkpoint | CompressedModel]]:
        """Yield what each shipped model is called, and the model."""
        yield "the released model", self.model
        if self.compressed is not None:
            yield "its export", self.compressed

    def held_out(self) -> Path:
        """Return the file of dialogues that were not learnt: of the last named sets, if any."""
        learnt = [each for each in self.sets if isinstance(each, Dialogues)]
        return (
            learnt[-1].path / "validation.jsonl" if learnt else self.evaluation.path / "test.jsonl"
        )
