"""What is compared: smaller models with what was measured of them, and what could not be made."""

from components.core.artifacts.base import Frozen
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import FidelityReport


class Candidate(Frozen):
    """A way to make a model smaller, and what came of it."""

    method: str
    """What it is called: its steps, joined by `+`."""
    model: Checkpoint | CompressedModel
    """The smaller model."""
    report: FidelityReport
    """How well it stands for the original."""


class Refused(Frozen):
    """A way that this model cannot go."""

    method: str
    """What it is called."""
    reason: str
    """Why not, in a sentence."""
