"""A data card in a terminal and in Markdown: the funnel, and what each step finds."""

import json
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from tabulate import tabulate

from components.core.record import REPORT

_FUNNEL = ("step", "documents", "bytes", "left out")
_PLANTED = ("step", "planted as", "items", "recall", "must be found", "precision")


def read_card(folder: Path, source: str | None = None) -> dict[str, Any]:
    """Return what the card in `folder` says, with the funnel of one source where one is named."""
    content = json.loads((folder / REPORT / "card.json").read_text("utf-8"))
    if source is not None:
        content["funnel"] = content["funnel_by_source"][source]
    return content


def tables(content: dict[str, Any]) -> Group:
    """Return the funnel and the planted items for a terminal."""
    funnel = Table("step", title=f"data revision {content['revision']}", title_justify="left")
    for name in _FUNNEL[1:3]:
        funnel.add_column(name, justify="right")
    funnel.add_column("left out")
    for row in _funnel(content):
        funnel.add_row(*row)
    if not content["planted"]:
        return Group(funnel)
    planted = Table("step", "planted as")
    for name in _PLANTED[2:]:
        planted.add_column(name, justify="right")
    for row in _planted(content):
        planted.add_row(*row)
    return Group(funnel, planted)


def markdown(content: dict[str, Any]) -> str:
    """Return the same as Markdown tables."""
    funnel = tabulate(_funnel(content), _FUNNEL, "github", disable_numparse=True)
    planted = tabulate(_planted(content), _PLANTED, "github", disable_numparse=True)
    return f"Data revision `{content['revision']}`\n\n{funnel}\n\n{planted}\n"


def _funnel(content: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            row["step"],
            f"{row['documents']:,}",
            "" if row["bytes"] is None else f"{row['bytes']:,}",
            ", ".join(f"{number:,} {reason}" for reason, number in row["dropped"].items()),
        )
        for row in content["funnel"]
    ]


def _planted(content: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            step,
            row["form"],
            f"{row['planted']:,}",
            f"{row['recall_percent']:.1f} %",
            f"{row['due']:,}: {row['due_recall_percent']:.1f} %" if row.get("due") else "",
            f"{row['precision_percent']:.1f} %",
        )
        for step, rows in content["planted"].items()
        for row in rows
    ]
