"""The page of a data card: one HTML file without scripts; all that came from data is escaped."""

from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, StrictUndefined

_TEMPLATE = Path(__file__).with_name("card.html")


def render(content: dict[str, Any]) -> str:
    """Return the page that shows the content of a card (`components.data.card.Content`)."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    filters = cast("dict[str, Any]", environment.filters)  # typed as those that come with it
    filters |= {"number": _number, "size": _size, "bars": _bars}
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(card=content)


def _number(value: float) -> str:
    """Return a number as people write it."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _size(num_bytes: float | None) -> str:
    """Return a size in the unit that suits it."""
    if num_bytes is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.3g} GB"


def _bars(counts: dict[str, int]) -> list[tuple[str, int, float]]:
    """Return name, count and the width in percent of the longest."""
    longest = max([1, *counts.values()])
    return [(name, count, 100 * count / longest) for name, count in counts.items()]
