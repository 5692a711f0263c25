"""The pipeline as far as one stage, each a flow of its own that is named after the stage."""

from prefect import Flow, flow

from flows.parameters import DEFAULT, Given, Set, refused, run_name, wanted
from flows.pipeline import Made, build
from flows.step import preemptible


def _as_far_as(stage: str) -> Flow[..., Made]:
    @flow(name=stage, flow_run_name=run_name)
    @preemptible
    def run(recipe: Given = DEFAULT, set: Set = ()) -> Made:
        """Take raw text as far as this stage, measured at every stage boundary.

        A run that cannot begin fails with the reason: the recipe or a change is wrong, or the
        recipe leaves the stage out.
        """
        try:
            chosen = wanted(stage, recipe, set)
        except ValueError as error:
            return refused(error)
        return build(chosen, chosen.until(stage), None)

    return run


data = _as_far_as("data")
pretrain = _as_far_as("pretrain")
finetune = _as_far_as("finetune")
align = _as_far_as("align")
compress = _as_far_as("compress")
