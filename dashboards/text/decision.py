"""What a person needs to decide on a release: the candidate beside the champion, in Markdown."""

from collections.abc import Iterator

from tabulate import tabulate

from components.core.artifacts.base import Frozen
from components.core.artifacts.reports import Interval


class Contender(Frozen):
    """What was measured of a model that may be, or is, the champion."""

    title: str
    """What heads its column."""
    bits_per_byte: float
    """On held-out text."""
    accuracy: float
    """On held-out micro-tasks, 0 to 1."""
    accuracy_interval: Interval
    """95 % bootstrap interval."""
    bytes_on_disk: int | None = None
    """Size of the weights."""
    decode_tokens_per_second: float | None = None
    """Greedy, batch 1; None for a model that was not exported."""
    num_parameters: int | None = None
    """Weights."""


def decision(
    candidate: Contender, champion: Contender | None, difference: Interval | None, scorecard: str
) -> str:
    """Return five numbers of both, and where the rest is.

    `difference` is the 95 % interval of the candidate's accuracy less the champion's, on the tasks
    that both were given; `scorecard` the address of the whole scorecard.
    """
    columns = [candidate] if champion is None else [candidate, champion]
    rows = zip(_NAMES, *map(_cells, columns), strict=True)
    body = [(name, *values) for name, *values in rows if any(values)]
    table = tabulate(
        body, ["", *(each.title for each in columns)], tablefmt="pipe", disable_numparse=True
    )
    return "\n\n".join([table, *_said(champion, difference), f"[The whole scorecard]({scorecard})"])


_NAMES = ("bits per byte", "accuracy (95 %)", "size", "decode tokens/s", "parameters")


def _cells(model: Contender) -> tuple[str, ...]:
    low, high = model.accuracy_interval.low, model.accuracy_interval.high
    size, speed, weights = (
        model.bytes_on_disk,
        model.decode_tokens_per_second,
        model.num_parameters,
    )
    return (
        f"{model.bits_per_byte:.3f}",
        f"{model.accuracy:.1%} ({100 * low:.1f} to {100 * high:.1f})",
        "" if size is None else f"{size / 1e6:.1f} MB",
        "" if speed is None else f"{speed:,.0f}",
        "" if weights is None else f"{weights / 1e6:.2f} M",
    )


def _said(champion: Contender | None, difference: Interval | None) -> Iterator[str]:
    if champion is None:
        yield "There is no champion yet: it would be the first."
    elif difference is not None:
        low, high = 100 * difference.low, 100 * difference.high
        word = "better" if low > 0 else "worse" if high < 0 else "not told apart by this"
        yield (
            f"Accuracy, candidate less champion, on the same tasks: {low:+.1f} to {high:+.1f} "
            f"points (95 %), {word}."
        )
