"""Which class each name of a pretraining objective stands for: the one place that knows."""

from components.lib.objectives.masked import MaskedPairObjective
from components.lib.objectives.mixture import MixtureNextToken
from components.lib.objectives.next_token import NextToken
from components.lib.objectives.objective import PretrainingObjective

OBJECTIVES: dict[str, type[PretrainingObjective]] = {
    "next_token": NextToken,
    "mixture": MixtureNextToken,
    "masked": MaskedPairObjective,
}
