"""The frontier for people: a table and a picture."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from components.compress.comparison.candidates import Candidate, Refused
from components.core.artifacts.reports import FidelityReport

PAGE, PICTURE = "frontier.md", "frontier.png"

_HEADINGS = (
    *("", "method", "bits/byte", "KL", "flips", "margins", "refusals", "tools", "small", "MB"),
    *("tokens/s", "first token", "energy", ""),
)
_AXES: tuple[tuple[str, Callable[[FidelityReport], float]], ...] = (
    ("size, MB", lambda found: found.bytes_on_disk / 1e6),
    ("decode, tokens/s", lambda found: found.decode_tokens_per_second),
    ("first token, ms", lambda found: 1e3 * found.first_token_seconds),
    ("energy, J/token (estimate)", lambda found: found.joules_per_token),
)


def write_pages(
    folder: Path,
    candidates: Sequence[Candidate],
    refused: Iterable[Refused],
    best: set[str],
    chosen: str | None,
) -> None:
    """Write `frontier.md` and `frontier.png`: all candidates, the Pareto set and the chosen one."""
    rows = [(str(number), *_row(each, best, chosen)) for number, each in enumerate(candidates, 1)]
    lines = [tabulate(rows, _HEADINGS, tablefmt="pipe", disable_numparse=True)]
    lines += [f"Not possible: {each.method}. {each.reason}" for each in refused]
    (folder / PAGE).write_text("\n\n".join(lines) + "\n", "utf-8")
    _draw(folder / PICTURE, candidates, best, chosen)


def _row(candidate: Candidate, best: set[str], chosen: str | None) -> tuple[str, ...]:
    found = candidate.report
    speedup = found.decode_tokens_per_second / found.original_decode_tokens_per_second
    saved = found.joules_per_token / found.original_joules_per_token
    mark = "chosen" if candidate.method == chosen else "Pareto" * (candidate.method in best)
    return (
        candidate.method,
        f"{found.bits_per_byte:.3f} ({found.bits_per_byte_increase:+.1%})",
        f"{found.divergence:.4f}",
        f"{found.flipped:.1%}",
        f"{found.margin_kept:.0%}",
        _share(found.refusals_kept),
        _share(found.tool_calls_kept),
        f"{found.coverage:.0%}",
        f"{found.bytes_on_disk / 1e6:.1f}",
        f"{found.decode_tokens_per_second:,.0f} ({speedup:.1f} x)",
        f"{1e3 * found.first_token_seconds:.0f} ms",
        f"{saved:.2f} x",
        mark,
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _draw(file: Path, candidates: Sequence[Candidate], best: set[str], chosen: str | None) -> None:
    """Draw quality against size, speed, first token and energy; the Pareto set is filled."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    figure = Figure(figsize=(13, 8), layout="constrained")
    panels: Any = figure.subplots(2, 2)
    for panel, (label, value) in zip(panels.flat, _AXES, strict=True):
        for number, candidate in enumerate(candidates, 1):
            name, found = candidate.method, candidate.report
            color = "tab:red" if name == chosen else "tab:blue"
            filled = color if name in best or name == chosen else "none"
            spot = value(found), 100 * found.bits_per_byte_increase
            named = f"{number}  {name}" if panel is panels[0, 0] else None
            panel.scatter(*spot, edgecolors=color, facecolors=filled, label=named)
            panel.annotate(str(number), spot, (5, 4), textcoords="offset points", fontsize=8)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.xaxis.set_minor_formatter("")
        panel.margins(0.1)
        panel.set_xlabel(label)
        panel.set_ylabel("bits per byte added, %")
        panel.grid(alpha=0.3)
    figure.legend(loc="outside right upper", handletextpad=0.2)
    figure.suptitle("Red: chosen. Filled: no other is as good, as small and as fast.")
    figure.savefig(file, dpi=110, metadata={"Software": None})
