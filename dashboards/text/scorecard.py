"""The scorecard of a pipeline run: a table for the terminal and one in Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from tabulate import tabulate

from dashboards.text.machines import made_on
from dashboards.text.report import Report, StageRow

_HEADINGS = (
    *("step", "bits/byte", "accuracy (95 %)", "nats/answer token", "bits/byte on other texts"),
    *("size", "decode tokens/s", "seconds", ""),
)
_MEASURES = ("evals.probe", "evals.baselines")  # what they found stands beside the models
_TRAINED = ("step", "weights", "active", "FLOPs/token", "tokens", "of peak", "validation")


def table(report: Report) -> Table:
    """Return the scorecard for a terminal."""
    title = "\n".join([_title(report), _outcome(report)])
    shown = Table(title=title, title_justify="left", caption=_caption(report))
    shown.caption_justify = "left"
    headings, *rows = _filled([_HEADINGS, *_rows(report)])
    for heading in headings:
        justify = "left" if heading in ("step", "") else "right"
        shown.add_column(heading, justify=justify, no_wrap=True)
    for cells in rows:
        shown.add_row(*cells)
    return shown


def task_table(report: Report) -> Table | None:
    """Return the accuracy of each micro-task after each stage, or None if none was measured."""
    grid = _task_grid(report)
    if grid is None:
        return None
    shown = Table(title="Accuracy on held-out micro-tasks, by stage", title_justify="left")
    for index, heading in enumerate(grid[0]):
        shown.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for cells in grid[1:]:
        shown.add_row(*cells)
    return shown


def training_table(report: Report) -> Table | None:
    """Return a card of every model that was trained, or None if there is none."""
    rows = [row for row in report.stages if row.training]
    if not rows:
        return None
    shown = Table(title="Trained", title_justify="left")
    headings, *cells = _filled([_TRAINED, *map(_trained, rows)])
    for index, heading in enumerate(headings):
        shown.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for each in cells:
        shown.add_row(*each)
    return shown


def _trained(row: StageRow) -> tuple[str, ...]:
    found = row.training or {}
    validated = [
        f"{name.removeprefix('validation_')} {value:.3f}"
        for name, value in found.items()
        if name.startswith("validation_")
    ]
    return (
        row.component,
        _number(row.num_parameters, ","),
        _number(row.num_active_parameters, ","),
        _number(row.flops_per_token, ".3g"),
        _number(found.get("tokens"), ",.0f"),
        _number(found.get("peak_flops_share"), ".0%"),
        ", ".join(validated),
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def markdown(report: Report) -> str:
    """Return the scorecard as Markdown, the verdict first."""
    tables = [_filled([_HEADINGS, *_rows(report)]), _task_grid(report) or []]
    shown = [_lines(rows) for rows in tables if len(rows) > 1]
    parts = [f"**{_outcome(report)}**", _title(report), *shown, _others(report), *made_on(report)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _filled(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the rows, of which the first has the headings, without columns that are empty."""
    headings, *body = rows
    used = [i for i in range(len(headings)) if any(row[i] for row in body) or not i]
    return [[row[i] for i in used] for row in rows]


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, "firstrow", tablefmt="pipe", disable_numparse=True)


def _task_grid(report: Report) -> list[list[str]] | None:
    """Return rows of cells: a heading, then a micro-task a row and a model a column."""
    models = [row for row in report.stages if row.accuracy_by_task and row.model is None]
    if not models:
        return None
    tasks = [row.accuracy_by_task or {} for row in models]
    body = [[name, *(f"{found[name]:.0%}" for found in tasks)] for name in tasks[0]]
    return [["micro-task", *(row.component for row in models)], *body]


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    for name, value in report.baselines.items():
        yield f"{name} baseline", f"{value:.3f}", *[""] * (len(_HEADINGS) - 2)
    for row in report.stages:
        if row.component not in _MEASURES and _is_measured(row):
            yield _cells(row)


def _is_measured(row: StageRow) -> bool:
    """Return whether anything but its time is known of what a step made."""
    found = row.bits_per_byte, row.accuracy, row.bytes_on_disk, row.decode_tokens_per_second
    return any(value is not None for value in found)


def _others(report: Report) -> str:
    """Return a line about the steps that made no model: the table has no room for empty rows."""
    rows = [r for r in report.stages if r.component not in _MEASURES and not _is_measured(r)]
    if not rows:
        return ""
    said = [f"{r.component} {'cached' if r.cached else f'{r.seconds:.1f} s'}" for r in rows]
    return f"Other steps: {', '.join(said)}."


def _cells(row: StageRow) -> tuple[str, ...]:
    accuracy = f"{row.accuracy:.1%}" if row.accuracy is not None else ""
    if row.accuracy_interval:
        low, high = row.accuracy_interval
        accuracy += f" ({100 * low:.0f}-{100 * high:.0f})"
    return (
        row.component,
        f"{row.bits_per_byte:.3f}" if row.bits_per_byte is not None else "",
        accuracy,
        _number(row.answer_nats, ".3f"),
        ", ".join(f"{name} {value:.3f}" for name, value in (row.texts or {}).items()),
        f"{row.bytes_on_disk / 1e6:.1f} MB" if row.bytes_on_disk is not None else "",
        _speed(row),
        f"{row.seconds:.1f}",
        "cached" if row.cached else "",
    )


def _speed(row: StageRow) -> str:
    if row.decode_tokens_per_second is None:
        return ""
    ratio = f" ({row.decode_speedup:.1f} x)" if row.decode_speedup else ""
    return f"{row.decode_tokens_per_second:,.0f}{ratio}"


def _title(report: Report) -> str:
    run = f"{report.origin.flow} {report.origin.run_name}, data {report.data_revision[:12]}"
    return "\n".join([run, *(_base(row.base) for row in report.stages if row.base)])


def _base(base: dict[str, Any]) -> str:
    """Return what a run began with, in a line."""
    where = " ".join(filter(None, [base["source"], base["revision"]]))
    ends, pad = " ".join(base["ends"]) or "none", base["padding"] or "none"
    return (
        f"Base: {base['architecture']}, {base['parameters']:,} parameters, "
        f"context {base['context']:,}, vocabulary {base['vocabulary']:,}, "
        f"begins {base['begin'] or 'none'}, "
        f"ends {ends}, fills up with {pad}, chat template: {base['chat_template']}, licence "
        f"{base['licence']}; {where} (content {base['content']})"
    )


def _caption(report: Report) -> str:
    return "\n".join(filter(None, [_others(report), *made_on(report)]))


def _outcome(report: Report) -> str:
    if report.model is not None:
        model = report.model
        return f"Released: {model.name} version {model.version}, alias {model.alias}"
    if report.rejected:
        return "Not released. " + ". ".join(report.rejected)
    return "Nothing was released in this run."
