"""Aligned model -> small model."""

from prefect import flow

from components.core.artifacts.models import Checkpoint, CompressedModel
from flows.align import align
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


@flow
@preemptible
def compress(recipe: Recipe = tiny(), aligned: Checkpoint | None = None) -> CompressedModel:
    """Export `aligned` to int8. Without one, the recipe's own is made first."""
    return step(recipe.quantize, aligned or align(recipe))
