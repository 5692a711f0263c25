"""The scorecard of a pipeline run: a table for the terminal and one in Markdown."""

from collections.abc import Iterator

from rich.table import Table

from components.core.report import Report, StageRow

_HEADINGS = ("step", "bits/byte", "accuracy (95 %)", "size", "tokens/s", "seconds", "")


def table(report: Report) -> Table:
    """Return the scorecard for a terminal."""
    shown = Table(title=_title(report), title_justify="left", caption=_caption(report))
    shown.caption_justify = "left"
    for heading in _HEADINGS:
        justify = "left" if heading in ("step", "") else "right"
        shown.add_column(heading, justify=justify, no_wrap=True)
    for cells in _rows(report):
        shown.add_row(*cells)
    return shown


def markdown(report: Report) -> str:
    """Return the scorecard as Markdown."""
    head = f"| {' | '.join(_HEADINGS)} |\n|{'---|' * len(_HEADINGS)}\n"
    body = "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(report))
    return f"{_title(report)}\n\n{head}{body}\n{_caption(report)}\n"


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    for name, value in report.baselines.items():
        yield f"{name} baseline", f"{value:.3f}", "", "", "", "", ""
    for row in report.stages:
        if row.component not in ("evals.probe", "evals.baselines"):
            yield _cells(row)


def _cells(row: StageRow) -> tuple[str, ...]:
    accuracy = f"{row.accuracy:.1%}" if row.accuracy is not None else ""
    if row.accuracy_interval:
        low, high = row.accuracy_interval
        accuracy += f" ({100 * low:.0f}-{100 * high:.0f})"
    return (
        row.component,
        f"{row.bits_per_byte:.3f}" if row.bits_per_byte is not None else "",
        accuracy,
        f"{row.bytes_on_disk / 1e6:.1f} MB" if row.bytes_on_disk is not None else "",
        f"{row.decode_tokens_per_second:,.0f}" if row.decode_tokens_per_second else "",
        f"{row.seconds:.1f}",
        "cached" if row.cached else "",
    )


def _title(report: Report) -> str:
    return f"{report.origin.flow} {report.origin.run_name}, data {report.data_revision[:12]}"


def _caption(report: Report) -> str:
    if report.model is not None:
        model = report.model
        return f"Released: {model.name} version {model.version}, alias {model.alias}"
    if report.rejected:
        return "Not released. " + ". ".join(report.rejected)
    return "Nothing was released in this run."
