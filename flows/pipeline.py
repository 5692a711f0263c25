"""The whole platform in one flow: raw text in, a released, measured, compressed model out.

A recipe says which stages there are. Each takes the model of the stage before and is measured by
the same probe. A step that was done before is served from its artifact, so after a failure, or
after a change to a late stage, run the same command again.

    bloomery run                          # this flow, recipe `tiny`
    bloomery run --set align.beta=0.2     # the same with one decision changed
    bloomery run finetune                 # as far as one stage: a flow that is named after it
"""

from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from components.core.artifacts.data import Instructions
from components.core.artifacts.models import Checkpoint, CompressedModel, Release
from components.core.artifacts.reports import StageReport
from flows.approval import require_answerable
from flows.data import prepare
from flows.evals import MEASURED, baselines, measured
from flows.parameters import DEFAULT, Given, Set, refused, run_name, wanted
from flows.publish import publish
from flows.recipes import Recipe
from flows.release import Candidate, ReleaseSteps, is_rejected, release
from flows.stage import Prepared, Stage, sets_of
from flows.step import preemptible, subflow

Made = Prepared | Checkpoint | CompressedModel | Release | State[Any]
"""What a run comes to; a state if the gate or a person said no, or it could not begin."""


@flow(flow_run_name=run_name)
@preemptible
def pipeline(recipe: Given = DEFAULT, set: Set = ()) -> Made:
    """Take raw text to a released model, measured at every stage boundary.

    A run that cannot begin fails with the reason: the recipe or a change is wrong, or a person is
    to approve the release, and no server runs to do so in.
    """
    try:
        chosen = wanted("pipeline", recipe, set)
        if chosen.release is not None:
            require_answerable(chosen.release.approval)
    except ValueError as error:
        return refused(error)
    return _build(chosen, chosen.stages(), chosen.release)


def _as_far_as(stage: str) -> Flow[..., Made]:
    """Return the pipeline up to one stage, a flow of its own that is named after the stage."""

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
        return _build(chosen, chosen.until(stage), None)

    return run


data = _as_far_as("data")
pretrain = _as_far_as("pretrain")
continued = _as_far_as("continued")
finetune = _as_far_as("finetune")
align = _as_far_as("align")
compress = _as_far_as("compress")


def _build(recipe: Recipe, stages: tuple[Stage, ...], releasing: ReleaseSteps | None) -> Made:
    """Make the data, apply `stages` in order, probe after each, and release if that is wanted."""
    if not stages:
        return prepare(recipe.corpus, recipe.tokens, recipe.pretrain)
    read = (recipe.corpus, recipe.tokens, recipe.pretrain, sets_of(stages))
    prepared = subflow(prepare, "data")(*read)
    length = recipe.pretrain.measured_length()
    to_beat = subflow(baselines, "baselines")(recipe.evals, prepared, length)

    made: list[Checkpoint | CompressedModel] = []
    dialogues: Instructions | None = None
    ledger: list[StageReport] = []
    for stage in stages:
        apply = subflow(stage.apply, stage.name, type(stage).__name__)
        made.append(apply(made[-1] if made else None, prepared))
        if len(made) == 1 and isinstance(made[0], Checkpoint):
            found = (each.held_out(made[0], prepared) for each in stages)
            dialogues = next((each for each in found if each is not None), None)
        if stage.makes() in MEASURED:
            ledger.append(measured(recipe.evals, prepared, length, stage, made[-1], dialogues))

    if releasing is None:
        publish("FINISHED")
        return made[-1]
    befores = (None, *made)[: len(stages)]
    pairs = zip(stages, befores, strict=True)
    learnt = (each for stage, model in pairs for each in stage.learnt(model, prepared))
    candidate = Candidate(
        model=[model for model in made if isinstance(model, Checkpoint)][-1],
        compressed=made[-1] if isinstance(made[-1], CompressedModel) else None,
        baselines=to_beat,
        ledger=tuple(ledger),
        data=prepared.card,
        sets=tuple(learnt),
        base=next(model for model in made if isinstance(model, Checkpoint)),
        evaluation=prepared.evaluation,
    )
    outcome = release(releasing, candidate)
    publish("FAILED" if is_rejected(outcome) else "FINISHED")
    return outcome


if __name__ == "__main__":
    pipeline()
