"""The whole platform in one flow: raw text in, a released, measured, compressed model out.

Each stage is a flow that also runs alone, and each value passed on is an artifact: a small typed
pointer to proved files. A step whose recipe did not change is served from cache, so after a
failure, or after a change to a late stage, run the same command again.

    bloomery run                          # this flow, recipe `tiny`
    bloomery run --set dpo.beta=0.2       # the same with one decision changed
    bloomery run finetune                 # one stage, and what it needs
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from components.core.artifacts.models import Release
from flows.align import align
from flows.approval import require_answerable
from flows.compress import compress
from flows.data import data
from flows.evals import baselines, evals
from flows.finetune import finetune
from flows.pretrain import pretrain
from flows.publish import publish
from flows.recipes import Recipe, tiny
from flows.release import Reports, asked, rejection, release, signed
from flows.step import preemptible


@flow
@preemptible
def pipeline(recipe: Recipe = tiny()) -> Release | State[Any]:
    """Take raw text to a released model, measured at every stage boundary.

    Raises:
        ValueError: a person is to approve the release, and no server runs to do so in.
    """
    require_answerable(recipe.approval)
    source = data(recipe)
    to_beat = baselines(recipe, source)

    base = pretrain(recipe, source)
    pretrained = evals(recipe, source, base)

    instruct = finetune(recipe, source, base)
    finetuned = evals(recipe, source, instruct)

    aligned = align(recipe, source, instruct)
    aligned_report = evals(recipe, source, aligned)

    small = compress(recipe, aligned)
    compressed = evals(recipe, source, small)

    reports = Reports(
        baselines=to_beat,
        pretrained=pretrained,
        finetuned=finetuned,
        aligned=aligned_report,
        compressed=compressed,
    )
    answer = asked(recipe, small, reports)
    if isinstance(answer, State):
        publish("FAILED")
        return answer
    outcome = release(recipe, aligned, small, reports, return_state=True)
    publish("FINISHED" if outcome.is_completed() else "FAILED")
    if (rejected := rejection(outcome)) is not None:
        return rejected
    released = outcome.result()
    assert isinstance(released, Release), released
    return signed(released, answer)


if __name__ == "__main__":
    pipeline()
