"""How a file of rows is written: what separates its columns, and whether its first row names them.

Both are told by the option, else by what the file begins with.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from components.data.sources.source import Source

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_NAMES = {separator: name for name, separator in SEPARATORS.items()}
_SAMPLE_ROWS = 50
_NAME_CHARACTERS = 64  # a longer cell is content
_HINT = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # Excel's
_NUMBER = re.compile(r"[-+]?[\d.,:/ -]*\d[\d.,:/ -]*%?")  # and dates and times


class Dialect(NamedTuple):
    """How a file of rows is written."""

    separator: str
    """Character between two columns."""
    has_header: bool
    """Whether the first row names the columns; else they are called by their number, from 1."""
    num_hints: int
    """Lines before the first row that are none."""
    text_column: str
    """Column of the text; as the source says it, unless there is no header to say it by."""

    def __str__(self) -> str:
        """Return it for people."""
        header = "" if self.has_header else f", no header row, text in column {self.text_column}"
        between = "" if self.separator == "," else f", a {_NAMES[self.separator]} between columns"
        return f"CSV{between}{header}"


def dialect_of(start: str, source: Source, suffix: str) -> Dialect:
    """Return the dialect of a file that begins with `start`.

    Raises ValueError where nothing says which column of a file without a header holds the text.
    """
    hint = _HINT.match(start)
    start = start[hint.end() :] if hint else start
    usual = "\t" if suffix == ".tsv" else ","
    if source.separator:
        separator = SEPARATORS[source.separator]
    else:
        separator = hint[1] if hint and hint[1] in _NAMES else _separator(start, source, usual)
    rows = _rows(start, separator)
    has_header = _has_header(rows, source)
    column = source.text_column if has_header else _numbered_column(rows, source)
    return Dialect(separator, has_header, 1 if hint else 0, column)


def _separator(start: str, source: Source, usual: str) -> str:
    """Return what makes columns of the same number in all rows, the usual if several do."""
    wanted = {source.text_column, *source.text_column.split(",")}
    candidates = [usual, *(each for each in SEPARATORS.values() if each != usual)]
    found = {each: _rows(start, each) for each in candidates}
    for each, rows in found.items():
        if rows and wanted & {*rows[0]} and source.header != "no":
            return each

    def fitness(separator: str) -> tuple[float, int]:
        rows = found[separator]
        widths = Counter(map(len, rows))
        if not widths or all(cell.startswith(" ") for row in rows for cell in row[1:]):
            return 0.0, 0  # the commas of prose
        width, number = widths.most_common(1)[0]
        return (number / widths.total() if width > 1 else 0.0), width

    best = max(candidates, key=fitness)
    return best if fitness(best) > max(fitness(usual), (0.8, 0)) else usual


def _rows(start: str, separator: str) -> list[list[str]]:
    """Return the first rows that are whole, as far as they are CSV."""
    rows: list[list[str]] = []
    lines = start.splitlines(keepends=True)
    try:
        for row in csv.reader(lines, delimiter=separator):
            rows += [row] if row else []
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return rows[:-1] or rows  # the last may be cut


def _has_header(rows: list[list[str]], source: Source) -> bool:
    if source.header != "auto" or not rows or source.is_of_dialogues:
        return source.header != "no"
    first = [cell.strip() for cell in rows[0]]
    if {source.text_column, *source.text_column.split(",")} & {*first}:
        return True
    looks_like_names = all(
        cell and len(cell) <= _NAME_CHARACTERS and not _NUMBER.fullmatch(cell) for cell in first
    )
    is_sentence = any(cell.count(" ") >= 3 or cell.endswith((".", "?", "!")) for cell in first)
    return looks_like_names and not is_sentence and len({*first}) == len(first)


def _numbered_column(rows: list[list[str]], source: Source) -> str:
    """Return the number of the column that is wanted, or of the only one that holds sentences."""
    width = max(map(len, rows), default=1)
    numbers = [str(number) for number in range(1, width + 1)]
    if all(name in numbers for name in source.text_column.split(",")):
        return source.text_column
    texts = [
        number
        for number, cells in zip(numbers, _columns(rows, width), strict=True)
        if sum(" " in cell.strip() for cell in cells) > len(cells) / 2
    ]
    texts = texts if width > 1 else numbers
    if len(texts) == 1 and source.text_column == "text":
        return texts[0]
    shown = ", ".join(
        f"{number} ({_shown(row)})"
        for number, row in zip(numbers, rows[0] if rows else (), strict=False)
    )
    raise ValueError(
        f"no column {source.text_column!r}, and the first row names none (--header yes if it "
        f"does): say the number of the column with --text-column. They begin: {shown}"
    )


def _columns(rows: list[list[str]], width: int) -> list[Sequence[str]]:
    return [[row[place] for row in rows if place < len(row)] for place in range(width)]


def _shown(cell: str) -> str:
    return repr(cell[:20] + ("..." if len(cell) > 20 else ""))
