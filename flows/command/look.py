"""The commands that look after what was run: `runs`, `models`, `logs`."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from components.core.disk import size
from flows.command.history import run_called, runs
from flows.command.logs import LogLine, followed, log_of, output_file
from flows.command.versions import VersionRow, versions

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

_NOTHING = "No model is registered yet: `bloomery run` releases one."


def add_to(app: typer.Typer) -> None:
    """Add the commands to `bloomery`."""
    app.command("runs")(list_runs)
    app.command("models")(list_models)
    app.command("logs")(show_log)


def list_runs(
    last: Annotated[int, typer.Option(min=0, help="How many, the newest first; 0 is all.")] = 20,
    as_json: Json = False,
) -> None:
    """List the runs of this machine: recipe, state, when, how long, and the disk they use."""
    found = runs()
    shown = found[: last or None]
    if as_json:
        return _print_json(shown)
    if not found:
        return typer.echo("No run yet. Start one with `bloomery run`.")
    table = _table("run", "flow", "recipe", "state", "began", "took", "steps (made)", "disk")
    for row in shown:
        steps = f"{row.num_made + row.num_cached} ({row.num_made})"
        times = when(row.began), _duration(row.seconds)
        disk = size(row.bytes_made) if row.bytes_made else ""
        table.add_row(row.name, row.flow, row.recipe, row.state, *times, steps, disk)
    _console().print(table)
    if more := len(found) - len(shown):
        typer.echo(f"{more} older: `bloomery runs --last 0`.")


def list_models(
    model: Annotated[str | None, typer.Argument(help="Registered model; else all.")] = None,
    as_json: Json = False,
) -> None:
    """List the registered models: every version, which is the champion, and what it scored."""
    found = versions(model)
    if as_json:
        return _print_json(found)
    if not found:
        return typer.echo(_NOTHING)
    table = _table("model", "version", "alias", "bits/byte", "accuracy (95 %)", "disk", "recipe")
    for row in found:
        bits = f"{row.bits_per_byte:.3f}" if row.bits_per_byte is not None else ""
        disk = size(row.num_bytes) if row.num_bytes is not None else "gone"
        table.add_row(
            row.model, str(row.version), row.alias, bits, _accuracy(row), disk, row.recipe
        )
    _console().print(table)


def list_releases(model: str | None, as_json: bool) -> None:
    """Print who released which version when, and what became of it."""
    found = sorted(versions(model), key=lambda row: row.released, reverse=True)
    if as_json:
        return _print_json(found)
    if not found:
        return typer.echo(_NOTHING)
    table = _table("released", "model", "version", "alias", "run", "recipe", "approved by", "note")
    for row in found:
        note = f"rolled back by {row.rolled_back_by}: {row.rolled_back_why}"
        origin = row.run, row.recipe, row.approved_by
        told = note if row.rolled_back_by else ""
        table.add_row(when(row.released), row.model, str(row.version), row.alias, *origin, told)
    _console().print(table)


def show_log(
    run: Annotated[
        str | None, typer.Argument(help="Name or id of a flow run; else the last.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends; Ctrl-C stops that.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the log of a flow run and of the flows in it."""
    if follow and as_json:
        raise ValueError("--follow prints lines as they come, and --json one document: choose one.")
    found = run_called(run)
    if as_json:
        return _print_json(log_of(found.id))
    recipe = f", recipe {found.recipe}" if found.recipe else ""
    said = f": {found.message}" if found.message else ""
    typer.echo(f"{found.name}, flow {found.flow}{recipe}, {found.state}{said}", err=True)
    lines = followed(found.id, lambda: _is_going(found.id)) if follow else log_of(found.id)
    is_silent = True
    for line in lines:
        is_silent = False
        typer.echo(_text(line))
    if is_silent:
        reason = (
            "Every step was there before, so Prefect had nothing to log."
            if found.num_cached and not found.num_made
            else "Prefect has no line of it here."
        )
        typer.echo(f"{reason} Its steps: `bloomery report {found.name}`.", err=True)
    if follow:
        typer.echo(f"{found.name}: {run_called(found.id).state}", err=True)
    if (file := output_file(found.id)).exists():
        typer.echo(f"What it printed: {file}", err=True)


def _is_going(run_id: str) -> bool:
    return run_called(run_id).state in ("running", "waiting")


def when(moment: datetime) -> str:
    """Return a moment as a person here writes it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _text(line: LogLine) -> str:
    if line.time is None:
        return line.message
    return f"{line.time.astimezone().strftime('%Y-%m-%d %H:%M:%S')} {line.level:7} {line.message}"


def _accuracy(row: VersionRow) -> str:
    if row.accuracy is None or row.accuracy_interval is None:
        return ""
    low, high = row.accuracy_interval
    return f"{row.accuracy:.1%} ({100 * low:.0f}-{100 * high:.0f})"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        number = heading in ("version", "bits/byte", "took", "steps (made)", "disk")
        table.add_column(heading, justify="right" if number else "left")
    return table


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def _print_json(rows: Sequence[BaseModel]) -> None:
    typer.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=2))
