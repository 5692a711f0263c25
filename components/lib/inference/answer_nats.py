"""How likely a model finds the answers of held-out dialogues."""

# B = dialogues at once, T = tokens of the longest of them

from collections.abc import Iterator

import numpy as np

from components.lib.examples.batches import IGNORED
from components.lib.examples.dialogues import Dialogues, Stretch
from components.lib.inference.held_out import Scorer

_MOST_DIALOGUES = 256
_TOKENS_AT_ONCE = 8192  # padding included, unless one dialogue alone is longer


def answer_nats(model: Scorer, dialogues: Dialogues) -> float:
    """Return the mean nats of a token of the answers, their ends included, over up to 256 of them.

    Raises:
        ValueError: there is no dialogue, or the chat template does not render one.
    """
    if not len(dialogues):
        raise ValueError("No dialogue is held out: give the sets more, or raise validation_share.")
    number = min(len(dialogues), _MOST_DIALOGUES)
    nats, count = 0.0, 0
    for some in _of_like_length(dialogues.stretches(range(number))):
        width = len(some[-1].inputs)
        ids = np.zeros((len(some), width + 1), np.int64)  # (B, T + 1); causal models see no padding
        is_learnt = np.zeros((len(some), width), bool)
        for row, (inputs, targets) in enumerate(some):
            ids[row, : len(inputs)] = inputs
            ids[row, len(inputs)] = targets[-1]  # an answer's end
            is_learnt[row, : len(inputs)] = targets != IGNORED
        nats += float(model.negative_log_likelihood(ids)[is_learnt].sum(dtype=np.float64))
        count += int(is_learnt.sum())
    return nats / count


def _of_like_length(stretches: list[Stretch]) -> Iterator[list[Stretch]]:
    """Yield dialogues, shorter ones first, as many at once as there is room for."""
    some: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda each: len(each.inputs)):
        if some and (len(some) + 1) * len(stretch.inputs) > _TOKENS_AT_ONCE:
            yield some
            some = []
        some.append(stretch)
    yield some
