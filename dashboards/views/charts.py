"""What charts of several pages share: legends that cut nothing, and axes with few ticks."""

from collections.abc import Iterable

import altair as alt

MAX_COLOURS = 8
"""As many as `.streamlit/config.toml` names: more would come round again."""
_LETTERS = 84  # of all names of a line below a chart that is half a page wide at 1,440 px
_SYMBOL_LETTERS = 5  # as wide as the symbol of a name and the gap before the next


def legend(names: Iterable[str], title: str | None = None) -> alt.Legend:
    """Return a legend below the chart that shows every name, and each of them whole."""
    longest = max((len(name) for name in names), default=1) + _SYMBOL_LETTERS
    columns = max(1, _LETTERS // longest)
    return alt.Legend(orient="bottom", title=title, columns=columns, labelLimit=0, symbolLimit=0)


def axis(number_format: str | None = None) -> alt.Axis:
    """Return an axis with so few ticks that their numbers never touch."""
    if number_format is None:
        return alt.Axis(tickCount=6, labelOverlap=True)
    return alt.Axis(tickCount=6, labelOverlap=True, format=number_format)
