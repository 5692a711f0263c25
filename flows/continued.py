"""A model reads more documents: its pretraining is continued."""

from collections.abc import Iterator

from components.continued.train import ContinuedTraining, ContinuedTrainingInputs
from components.core.artifacts.models import Checkpoint
from components.lib.models.config import context_length
from flows.stage import Base, NamedSets, Prepared, Stage
from flows.step import step


class ContinuedPretraining(Stage):
    """Go on with the pretraining of the base, on the documents of the corpus."""

    train: ContinuedTraining = ContinuedTraining()
    """The training."""
    replay: tuple[str, ...] = ()
    """Sources of `data/` such as the model has read before, for `train.replay_share`; they are no
    part of the corpus."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Train `model` on `prepared.shards`, and on some of `prepared.replay` if it is asked."""
        inputs = ContinuedTrainingInputs(
            model=model,
            shards=prepared.shards,
            vocabulary=prepared.vocabulary,
            replay=prepared.replay if self.replay else None,
        )
        return step(self.train, inputs)

    def sets(self) -> NamedSets:
        """Return the sources that are read again."""
        return NamedSets(replay=self.replay)

    def trains_embeddings(self) -> bool:
        """Say whether the embeddings are learnt too."""
        return self.train.lora is None

    def problems(self, base: Base) -> Iterator[str]:
        """Say where sequences are longer than the context of a model that is known.

        And where there is a share to replay and no source, or a source and no share.
        """
        config = base.config()
        longest = shape.max_length if (shape := base.shape()) else None
        if config is not None:
            longest = context_length(config)
        if longest is not None and self.train.sequence_length > longest:
            yield (
                f"continued.sequence_length is {self.train.sequence_length}, and the context of "
                f"the model holds {longest} tokens: set it to that at most."
            )
        if bool(self.replay) != bool(self.train.replay_share):
            yield (
                f"continued.replay is {list(self.replay)}, and continued.replay_share "
                f"{self.train.replay_share:g}: give both, as in --set "
                """continued.replay='["NAME"]' --set continued.replay_share=0.1, or neither."""
            )
