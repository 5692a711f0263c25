"""Token shards -> base model."""

from prefect import flow

from components.core.artifacts.models import Checkpoint
from components.pretrain.train import TrainInputs
from flows.data import Prepared, data
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


@flow
@preemptible
def pretrain(recipe: Recipe = tiny(), source: Prepared | None = None) -> Checkpoint:
    """Pretrain a decoder under Ray Train. Without a `source`, the recipe's own is made first."""
    source = source or data(recipe)
    inputs = TrainInputs(shards=source.shards, vocabulary=source.vocabulary)
    return step(recipe.pretrain, inputs)
