"""Rows of a comparison as plain text: a GPU machine may have no rich."""

import sys

Row = dict[str, str | float]


def show(title: str, rows: list[Row]) -> None:
    """Print rows as a table; a row that lacks a column leaves it empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[str(row.get(name, "")) for name in columns] for row in rows]
    lines = [[name.replace("_", " ") for name in columns], *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    say(f"\n{title}")
    for line in lines:
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        say("  ".join(padded).rstrip())


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
