"""What charts of several pages share: legends that cut nothing, and axes with few ticks."""

from collections.abc import Iterable
from typing import Literal

import altair as alt

MAX_COLOURS = 8
"""As many as `.streamlit/config.toml` names: more would come round again."""
_LETTERS = 84  # of all names of a line below a chart that is half a page wide at 1,440 px
_SYMBOL_LETTERS = 5  # as wide as the symbol of a name and the gap before the next
_GREY = "#8a94a6"
_LINE, _FRAME = 21, 130  # pixels: of a legend's line; of title, axis and gaps


def legend(
    names: Iterable[str],
    title: str | None = None,
    orient: Literal["bottom", "top"] = "bottom",
    rows: Iterable[str] = (),
) -> alt.Legend:
    """Return a legend that shows every name, and each of them whole.

    It begins right of the names of a chart's `rows`, which leave it less room. Two legends of a
    chart need two places: beside each other they are cut. That of shapes is on
    top, in a grey that is seen on dark and on light.
    """
    grey = _GREY if orient == "top" else alt.Undefined
    columns = _columns(names, rows)
    return alt.Legend(
        orient=orient,
        title=title,
        columns=columns,
        labelLimit=0,
        symbolLimit=0,
        symbolOpacity=1,
        symbolFillColor=grey,
        symbolStrokeColor=grey,
    )


def height(pixels: int, *legends: Iterable[str], rows: Iterable[str] = ()) -> int:
    """Return the height of a chart whose lines and points get `pixels` of it."""
    lines = [-(-len(set(names)) // _columns(names, rows)) for names in legends]
    return pixels + _FRAME + _LINE * sum(lines)


def _columns(names: Iterable[str], rows: Iterable[str]) -> int:
    room = _LETTERS - max(map(len, rows), default=0)
    longest = max(map(len, names), default=1) + _SYMBOL_LETTERS
    return max(1, room // longest)


def axis(number_format: str | None = None) -> alt.Axis:
    """Return an axis with so few ticks that their numbers never touch."""
    if number_format is None:
        return alt.Axis(tickCount=6, labelOverlap=True)
    return alt.Axis(tickCount=6, labelOverlap=True, format=number_format)
