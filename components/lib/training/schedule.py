"""The course of the learning rate over a training, as a share of its peak."""

import math

from components.lib.training.hyperparameters import Hyperparameters


def learning_rate_share(training: Hyperparameters, step: int) -> float:
    """Return the share of the peak learning rate at `step` (from 0).

    All rise linearly over the warm-up. `wsd` stays at the peak and falls linearly to zero in the
    last `decay_fraction` of the steps (Hu et al. 2024, MiniCPM; linear: Hägele et al. 2024),
    `cosine` (Loshchilov and Hutter 2017) and `linear` fall to zero from the warm-up on.
    """
    num_steps = training.num_steps
    warmup = max(1, round(num_steps * training.warmup_fraction))
    rise = min(1.0, (step + 1) / warmup)
    left = (num_steps - step) / max(1, num_steps - warmup + 1)
    match training.schedule:
        case "wsd":
            decay = max(1, round(num_steps * training.decay_fraction))
            return min(rise, (num_steps - step) / decay)
        case "cosine":
            return min(rise, 0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))
        case "linear":
            return min(rise, left)
        case "constant":
            return rise
