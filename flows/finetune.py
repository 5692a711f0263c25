"""Base model -> instruct model."""

from prefect import flow

from components.core.artifacts.models import Checkpoint
from components.finetune.sft import SFTInputs
from flows.data import Prepared, data
from flows.pretrain import pretrain
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


@flow
@preemptible
def finetune(
    recipe: Recipe = tiny(), source: Prepared | None = None, base: Checkpoint | None = None
) -> Checkpoint:
    """Fine-tune `base` on instructions. What is not given is made by the recipe first."""
    source = source or data(recipe)
    base = base or pretrain(recipe, source)
    return step(
        recipe.sft, SFTInputs(model=base, instructions=source.instructions, shards=source.shards)
    )
