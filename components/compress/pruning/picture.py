"""A picture of a sensitivity table: a row a part, a bar a level; plain SVG, for a browser."""

from html import escape
from math import log10

from components.compress.pruning.table import Row, Table

_ROW, _NAME, _BARS, _END = 26, 230, 560, 110  # pixels: of a part's row, and across
_TOP = 54
_COLORS = ("#9ecae1", "#4292c6", "#08519c", "#08306b", "#041a3d")  # mild to strong
_DECADES = 5  # from the smallest to the largest bar: costs differ by powers of ten


def picture(table: Table) -> str:
    """Return an SVG: the KL divergence of each part at each level, on a logarithmic scale."""
    parts = list(dict.fromkeys(row.part for row in table.rows))
    largest = max((row.kl for row in table.rows), default=0.0)
    largest = largest if largest > 0 else 1.0
    width, height = _NAME + _BARS + _END, _TOP + _ROW * len(parts) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-size="14">Nats a token lost (KL) where one part alone is '
        f"changed: {escape(table.treatment)}, logarithmic</text>",
        *_legend(table),
    ]
    for number, part in enumerate(parts):
        y = _TOP + _ROW * number
        rows = sorted((row for row in table.rows if row.part == part), key=_strength)
        lines.append(f'<text x="{_NAME - 8}" y="{y + 16}" text-anchor="end">{escape(part)}</text>')
        lines += _bars(rows, y, largest)
    return "\n".join([*lines, "</svg>", ""])


def _strength(row: Row) -> float:
    """Order levels from mild to strong: of bits, fewer are stronger."""
    return row.level if row.level < 1 else -row.level


def _legend(table: Table) -> list[str]:
    levels = sorted({row.level for row in table.rows}, key=lambda v: v if v < 1 else -v)
    found: list[str] = []
    for number, level in enumerate(levels):
        x = _NAME + 90 * number
        name = f"{level:.0%} zeros" if level < 1 else f"{level:g} bits"
        color = _COLORS[number % len(_COLORS)]
        found.append(f'<rect x="{x}" y="32" width="10" height="10" fill="{color}"/>')
        found.append(f'<text x="{x + 15}" y="42">{name}</text>')
    return found


def _bars(rows: list[Row], y: int, largest: float) -> list[str]:
    """Return a bar for each level, one below the other, and the number of the strongest."""
    height = (_ROW - 6) / max(1, len(rows))
    found: list[str] = []
    for number, row in enumerate(rows):
        share = 1 + log10(max(row.kl, 1e-30) / largest) / _DECADES
        length = max(1.0, _BARS * share)
        found.append(
            f'<rect x="{_NAME}" y="{y + 3 + number * height:.1f}" width="{length:.1f}" '
            f'height="{height:.1f}" fill="{_COLORS[number % len(_COLORS)]}">'
            f"<title>{escape(row.part)}: {row.kl:.3g} at {row.level:g}</title></rect>"
        )
    strongest = rows[-1]
    x = _NAME + max(1.0, _BARS * (1 + log10(max(strongest.kl, 1e-30) / largest) / _DECADES))
    found.append(f'<text x="{x + 6:.1f}" y="{y + 16}">{strongest.kl:.2g}</text>')
    return found
