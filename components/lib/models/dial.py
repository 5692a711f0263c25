"""One dial, `depth`: everything else about the size of a pretraining follows from it.

The idea and the laws are nanochat's (Karpathy 2025, `scripts/base_train.py`); the reference is
ours, tuned at depth 4: width 256, batches of 8,192 tokens, learning rate 0.01, weight decay 0.1.
With N the parameters that multiply (matrices and output head), D = ratio x N the tokens, B the
tokens of a batch:

- width = 64 x depth, heads of 64, half as many heads of keys and values;
- B = B_ref x (D / D_ref)^0.383, to a power of 2 (Bergsma et al. 2025, "Power lines");
- learning rate = rate_ref x sqrt(B / B_ref) x (width_ref / width) (the square root: Malladi et al.
  2022; the width: Yang et al. 2022, muP, for optimizers whose updates have a fixed size);
- weight decay = decay_ref x sqrt(B / B_ref) x D_ref / D, which keeps the time over which weights
  are averaged, in epochs of D (Wang and Aitchison 2024).
"""

import math
from typing import NamedTuple

from components.lib.models.shape import Shape

_HEAD_SIZE = 64
_REFERENCE_DEPTH = 4
_REFERENCE_BATCH_TOKENS = 8192
_REFERENCE_RATE = 0.01
_REFERENCE_DECAY = 0.1
_BATCH_EXPONENT = 0.383


class Size(NamedTuple):
    """What follows from depth about a training."""

    num_steps: int
    batch_size: int  # sequences
    learning_rate: float
    weight_decay: float


def shape_at(depth: int) -> dict[str, int]:
    """Return the sizes of a model of this depth, by their names in `Shape`."""
    halves = [n for n in range(1, depth // 2 + 1) if depth % n == 0]
    return {
        "width": _HEAD_SIZE * depth,
        "num_layers": depth,
        "num_heads": depth,
        "num_key_value_heads": max(halves, default=1),
    }


def size_for(
    shape: Shape, vocab_size: int, sequence_length: int, tokens_per_parameter: float
) -> Size:
    """Return steps, batch, learning rate and weight decay for a model of this shape.

    `tokens_per_parameter` is the horizon: Chinchilla's is 20 (Hoffmann et al. 2022), nanochat's 12.
    """
    tokens = tokens_per_parameter * multiplying_parameters(shape, vocab_size)
    reference = Shape.model_validate(shape_at(_REFERENCE_DEPTH))
    reference_tokens = tokens_per_parameter * multiplying_parameters(reference, vocab_size)
    wanted = _REFERENCE_BATCH_TOKENS * (tokens / reference_tokens) ** _BATCH_EXPONENT
    batch_size = max(1, 2 ** round(math.log2(wanted / sequence_length)))
    batch_tokens = batch_size * sequence_length
    growth = math.sqrt(batch_tokens / _REFERENCE_BATCH_TOKENS)
    return Size(
        num_steps=max(1, round(tokens / batch_tokens)),
        batch_size=batch_size,
        learning_rate=_REFERENCE_RATE * growth * reference.width / shape.width,
        weight_decay=_REFERENCE_DECAY * growth * reference_tokens / tokens,
    )


def multiplying_parameters(shape: Shape, vocab_size: int) -> int:
    """Return the weights that a token is multiplied with: matrices of blocks, and output head.

    Counted for a gated feed-forward network of 8/3 of the width and attention with grouped
    queries; the other architectures are within a fifth of it.
    """
    width = shape.width
    attention = 2 * width**2 * (1 + shape.num_key_value_heads / shape.num_heads)
    feed_forward = 8 * width**2
    return round(shape.num_layers * (attention + feed_forward)) + vocab_size * width
