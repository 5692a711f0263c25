"""Instruct model -> aligned model. Reward models and policy gradients will stand beside DPO."""

from prefect import flow

from components.align.dpo import DPOInputs
from components.align.sample import SampleInputs
from components.core.artifacts.models import Checkpoint
from flows.data import Prepared, data
from flows.finetune import finetune
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


@flow
@preemptible
def align(
    recipe: Recipe = tiny(), source: Prepared | None = None, instruct: Checkpoint | None = None
) -> Checkpoint:
    """Align `instruct` with pairs of its own samples. What is not given is made first."""
    source = source or data(recipe)
    instruct = instruct or finetune(recipe, source)
    pairs = step(recipe.sample, SampleInputs(model=instruct, preferences=source.preferences))
    return step(recipe.dpo, DPOInputs(model=instruct, pairs=pairs))
