"""Where a training stands, and what a step of it gave."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Position:
    """Where a training stands, apart from tensors: a checkpoint's manifest holds it."""

    step: int = 0  # steps done
    draw: int = 0  # batches drawn: more than steps where a rollback left data out
    tokens: int = 0
    seconds: float = 0.0  # of training, over all attempts
    skipped_in_row: int = 0
    num_skipped: int = 0
    num_rollbacks: int = 0
    chain: str = ""  # the ledger's rolling hash of all that was seen
    history: list[tuple[float, float]] = field(default_factory=list)  # of the spike guard


class StepOutcome(NamedTuple):
    """What a step's batch held and gave, over all processes."""

    terms: dict[str, float]
    norm: float
    num_tokens: int
    is_preempted: bool

    @property
    def loss(self) -> float:
        """The loss: the sum of its terms."""
        return sum(self.terms.values())
