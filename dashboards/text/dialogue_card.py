"""The card of dialogues or comparisons in a terminal and in Markdown."""

import json
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from tabulate import tabulate

from components.core.artifacts.data import Planted

_SETS = ("set", "rows", "kept", "left out", "left out of rows", "formats", "licence")
_PLANTED = ("planted as", "items", "recall", "must be found", "precision")
_NUMBERS = ("", "mean", "p5", "p50", "p95", "max")


def read_card(folder: Path) -> dict[str, Any]:
    """Return what the card in `folder` says."""
    return json.loads((folder / "card.json").read_text("utf-8"))


def tables(card: dict[str, Any]) -> Group:
    """Return the sets, and how long their rows are, for a terminal."""
    sets = Table(*_SETS, title=_summary(card), title_justify="left")
    for row in _sets(card):
        sets.add_row(*row)
    numbers = Table(*_NUMBERS)
    for row in _numbers(card):
        numbers.add_row(*row)
    if not (found := _planted(card)):
        return Group(sets, numbers)
    planted = Table(*_PLANTED)
    for row in found:
        planted.add_row(*row)
    return Group(sets, numbers, planted)


def markdown(card: dict[str, Any]) -> str:
    """Return the same as Markdown tables."""
    sets = tabulate(_sets(card), _SETS, "github", disable_numparse=True)
    numbers = tabulate(_numbers(card), _NUMBERS, "github", disable_numparse=True)
    planted = tabulate(_planted(card), _PLANTED, "github", disable_numparse=True)
    return f"{_summary(card)}\n\n{sets}\n\n{numbers}\n\n{planted}\n"


def _summary(card: dict[str, Any]) -> str:
    rows = ", ".join(f"{number:,} {name}" for name, number in card["rows"].items())
    masked = ", ".join(f"{number:,} {kind}" for kind, number in card["masked"].items())
    return (
        f"{card['kind']}: {rows}. {card['learnt_share']:.1%} of the tokens bear the loss; the "
        f"model reads {card['max_length']:,} at once. Masked: {masked or 'nothing'}."
    )


def _sets(card: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{row['rows']:,}",
            f"{row['kept']:,}",
            _counted(row["dropped"]),
            _counted(row.get("left_out", {})),
            _counted(row["formats"]),
            ", ".join(name or "not named" for name in row["licenses"]),
        )
        for name, row in card["sets"].items()
    ]


def _planted(card: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return what was found of planted duplicates; of near misses, what was kept."""
    rows = [Planted.model_validate(row) for row in card.get("planted", ())]
    return [
        (
            row.form,
            f"{row.planted:,}",
            f"{row.recall:.1%}",
            f"{row.due:,}: {row.due_recall:.1%}" if row.due else "",
            f"{row.precision:.1%}",
        )
        for row in rows
    ]


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items())


def _numbers(card: dict[str, Any]) -> list[tuple[str, ...]]:
    named = (("messages a row", card["turns"]), ("tokens a row", card["tokens"]))
    return [
        (name, *(f"{numbers[column]:,.1f}" for column in _NUMBERS[1:]))
        for name, numbers in named
        if numbers
    ]
