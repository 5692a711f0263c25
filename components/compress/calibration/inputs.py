"""What is read by a component that calibrates a model."""

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.artifacts.models import Checkpoint


class CalibrationInputs(Frozen):
    """A model, and text of the kind that it is to read."""

    model: Checkpoint
    """To be rounded or scaled."""
    shards: TokenShards
    """Encoded with the model's own tokenizer; the train split is read."""
