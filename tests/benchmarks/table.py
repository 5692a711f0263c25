"""Rows of a comparison, as people read them."""

import sys

from rich.console import Console
from rich.table import Table

Row = dict[str, str | float]

_console = Console(width=None if sys.stdout.isatty() else 120)


def show(title: str, rows: list[Row]) -> None:
    """Print rows as a table; a row that lacks a column leaves it empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=title, title_justify="left")
    for name in columns:
        is_text = any(isinstance(row.get(name), str) for row in rows)
        table.add_column(name.replace("_", " "), justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in columns))
    _console.print(table)


def say(text: str) -> None:
    """Print a line."""
    _console.print(text)
