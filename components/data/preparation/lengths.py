"""How long dialogues are in tokens of a model, by its own chat template."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components.data.preparation.texts import Row
from components.lib.text.dialogue import Dialogue


class Length(NamedTuple):
    """Tokens of a dialogue."""

    tokens: int
    """All of them."""
    learnt: int
    """Those of its answers, the end of each turn included."""


class Unrendered(ValueError):
    """A dialogue that has no tokens of its own."""


class Lengths:
    """Measures dialogues by a tokenizer and its template, as they are learnt."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer of a folder.

        Raises:
            ValueError: it has no chat template, or names no token that ends an answer.
        """
        from components.lib.models.folders import load_tokenizer
        from components.lib.text.rendered import Renderer

        self._renderer = Renderer(load_tokenizer(folder))

    def of(self, row: Row) -> list[Length]:
        """Return the length of a dialogue, or of the two that a comparison is made of.

        Raises:
            Unrendered: the template refuses it, or an answer cannot be told from the rest.
        """
        both = [row] if isinstance(row, Dialogue) else row.dialogues()
        lengths: list[Length] = []
        for rendered in self._renderer.render(both):
            if isinstance(rendered, str):
                raise Unrendered(rendered)
            whole = len(rendered.ids)
            is_compared = not isinstance(row, Dialogue)
            learnt = whole - rendered.prompt_length() if is_compared else sum(rendered.is_learnt)
            lengths.append(Length(whole, learnt))
        return lengths


def percentiles(values: Sequence[int]) -> dict[str, float]:
    """Return the mean of some numbers, and what so many percent of them are at most."""
    import numpy as np

    if not values:
        return {}
    array = np.array(values)
    places = {f"p{share}": float(np.percentile(array, share)) for share in (5, 25, 50, 75, 95, 99)}
    return {"mean": round(float(array.mean()), 3), **places, "max": float(array.max())}
