"""Reference: how likely a model finds the answers of preference pairs, before it is aligned."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Comparisons, PreferencePairs, ReferenceScores
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.settings import settings

SCORES = "scores.npy"

_PAIRS_AT_ONCE = 32


class ReferenceInputs(Frozen):
    """What `Reference` reads."""

    model: Checkpoint
    """The frozen reference."""
    pairs: PreferencePairs | Comparisons
    """Chosen and rejected answers."""


class Reference(Component[ReferenceInputs, ReferenceScores]):
    """Score every answer once, so that the reference need not be in memory while a policy learns.

    Scored again only when the pairs, the tokenizer or the model change. Writes `scores.npy`.
    """

    version: ClassVar[str] = "1.1.0"

    def run(self, inputs: ReferenceInputs, out: Path) -> ReferenceScores:
        """Write the scores.

        Raises:
            ValueError: no pair can be learnt from.
        """
        import numpy as np
        import torch

        from components.lib.device import move
        from components.lib.examples.pairs import PAIRS, PairExamples, read_pairs
        from components.lib.models.config import context_length
        from components.lib.models.folders import load_model, load_tokenizer
        from components.lib.models.proof import hides_documents
        from components.lib.objectives.preference import log_probabilities

        torch.set_num_threads(settings().num_threads)
        tokenizer = load_tokenizer(inputs.model.path)
        model = move(load_model(inputs.model.path)).eval()
        max_length = context_length(model.config.to_dict())
        packs = hides_documents(model)
        found = read_pairs(inputs.pairs.path, tokenizer, max_length)
        examples = PairExamples(found.pairs, tokenizer, sequence_length=1)  # as short as can be
        scores = np.full((len(found.pairs) + len(found.left_out), 2), np.nan, np.float32)
        for start in range(0, len(examples), _PAIRS_AT_ONCE):
            indices = np.arange(start, min(start + _PAIRS_AT_ONCE, len(examples)))
            batch = examples.batch(indices)
            with torch.no_grad():
                made, _ = log_probabilities(model, batch, packs)
            lines = batch.extras[PAIRS].flatten()
            scores[lines[lines >= 0]] = made.cpu().numpy()[lines >= 0]
        np.save(out / SCORES, scores)
        return ReferenceScores(path=out, num_pairs=len(examples))
