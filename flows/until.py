"""The pipeline as far as one stage, each a flow of its own that is named after the stage."""

from prefect import Flow, flow

from flows.pipeline import Made, build
from flows.recipes import Recipe, tiny
from flows.step import preemptible


def _as_far_as(stage: str) -> Flow[..., Made]:
    @flow(name=stage)
    @preemptible
    def run(recipe: Recipe = tiny()) -> Made:
        """Take raw text as far as this stage, measured at every stage boundary.

        Raises:
            ValueError: the recipe leaves the stage out.
        """
        return build(recipe, recipe.until(stage), None)

    return run


data = _as_far_as("data")
pretrain = _as_far_as("pretrain")
finetune = _as_far_as("finetune")
align = _as_far_as("align")
compress = _as_far_as("compress")
