"""A model reads more documents: its pretraining is continued."""

from collections.abc import Iterator

from components.continued.train import ContinuedTraining, ContinuedTrainingInputs
from components.core.artifacts.models import Checkpoint
from components.lib.models.config import context_length
from flows.stage import Base, Prepared, Stage
from flows.step import step


class ContinuedPretraining(Stage):
    """Go on with the pretraining of the base, on the documents of the corpus."""

    train: ContinuedTraining = ContinuedTraining()
    """The training."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Train `model` on `prepared.shards`."""
        inputs = ContinuedTrainingInputs(
            model=model, shards=prepared.shards, vocabulary=prepared.vocabulary
        )
        return step(self.train, inputs)

    def trains_embeddings(self) -> bool:
        """Say whether the embeddings are learnt too."""
        return self.train.lora is None

    def problems(self, base: Base) -> Iterator[str]:
        """Say where sequences are longer than the context of a model that is known."""
        config = base.config()
        longest = shape.max_length if (shape := base.shape()) else None
        if config is not None:
            longest = context_length(config)
        if longest is not None and self.train.sequence_length > longest:
            yield (
                f"continued.sequence_length is {self.train.sequence_length}, and the context of "
                f"the model holds {longest} tokens: set it to that at most."
            )
