"""Model -> report: the same probe at every stage boundary, and the baselines to beat."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import BaselineReport, ProbeReport
from components.evals.probe import ProbeInputs
from flows.compress import compress
from flows.data import Prepared, data
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


def _run_name() -> str:
    """Name the run after the step that made the model: `probe of align.dpo`."""
    model: Any = flow_run.parameters.get("model")
    path = model.get("path") if isinstance(model, dict) else getattr(model, "path", None)
    return f"probe of {Path(path).parent.parent.name}" if path else "probe"


@flow(flow_run_name=_run_name)
@preemptible
def evals(
    recipe: Recipe = tiny(),
    source: Prepared | None = None,
    model: Checkpoint | CompressedModel | None = None,
) -> ProbeReport:
    """Probe `model`. What is not given is made first: the recipe's compressed model."""
    source = source or data(recipe)
    model = model or compress(recipe)
    inputs = ProbeInputs(model=model, shards=source.shards, evaluation=source.evaluation)
    return step(recipe.probe, inputs)


@flow
@preemptible
def baselines(recipe: Recipe = tiny(), source: Prepared | None = None) -> BaselineReport:
    """Measure the n-gram models on the probe's text."""
    source = source or data(recipe)
    return step(recipe.baselines, source.shards)
