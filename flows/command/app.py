"""The `bloomery` command: run flows, add data, talk to models, read scorecards."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from components.core import disk
from components.core.processes.preemption import Preempted
from components.core.settings import settings
from flows.command import look, serve, stack, talk
from flows.command.data import app as data_app
from flows.command.importing import importing
from flows.command.release import app as release_app

if TYPE_CHECKING:
    from flows.command.history import RunRow

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(data_app, name="data")
app.add_typer(release_app, name="release")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

_out = Console(width=None if sys.stdout.isatty() else 110)


@app.callback()
def main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Build, measure and release language models, every step versioned and proved."""
    context.obj = debug
    settings()  # one that is not valid is said before anything starts


@app.command()
def run(
    flow: Annotated[
        str, typer.Argument(help="The pipeline, or the stage to go as far as.")
    ] = "pipeline",
    recipe: Annotated[str, typer.Option(help="Name of a recipe in flows/recipes.py.")] = "tiny",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path.to.field=value, changes the recipe.")
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(help="A run whose documents stay and are not read again."),
    ] = None,
) -> None:
    """Run a flow through Prefect; what was done before is served from cache."""
    with importing():
        from flows.command.running import FLOWS, run_flow

    if flow not in FLOWS:
        raise ValueError(f"No flow {flow!r}. There are: {', '.join(FLOWS)}.")
    changes = [*(set_ or []), *([f"corpus.known={known}"] if known else [])]
    try:
        ran = run_flow(flow, recipe, changes)
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command goes on where this one stopped.", err=True)
        raise typer.Exit(130) from None
    except Preempted as notice:
        typer.echo(str(notice), err=True)
        raise typer.Exit(os.EX_TEMPFAIL) from None
    report(name=ran.run_id, as_json=False)
    _say_where_to_look(flow)
    if not ran.completed:
        raise typer.Exit(1)


@app.command()
def report(
    name: Annotated[str | None, typer.Argument(help="Name or id of a flow run.")] = None,
    as_json: Json = False,
) -> None:
    """Show the scorecard of the last run, or of the one that is named."""
    from components.core.journal import find_run
    from dashboards.text.report import report_of
    from dashboards.text.scorecard import table, task_table, training_table
    from flows.command.history import run_called

    folder, found = find_run(name)
    scorecard = report_of(folder, found)
    if as_json:
        typer.echo(scorecard.model_dump_json(indent=2))
    else:
        _say_which(run_called(found.origin.run_id))
        _out.print(table(scorecard))
        for more in (training_table(scorecard), task_table(scorecard)):
            if more is not None:
                _out.print(more)


@app.command()
def lineage(
    model: Annotated[str, typer.Argument(help="Registered name, artifact or folder.")],
    as_json: Json = False,
) -> None:
    """Show the chain of steps from a model back to the revision of the data."""
    from dashboards.text.lineage import chain, tree
    from flows.command.find import find_model

    folder = find_model(model).folder
    if as_json:
        typer.echo(json.dumps(chain(folder), indent=2))
    else:
        _out.print(tree(folder))


@app.command()
def ledger(
    run: Annotated[
        str | None, typer.Argument(help="Name or id of a flow run, or a model; else the last run.")
    ] = None,
    step: Annotated[int | None, typer.Option(help="Show what this step saw, from 1.")] = None,
    document: Annotated[str | None, typer.Option(help="Show when this id was seen.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a pretraining has seen, what one step saw, or when a document was seen."""
    from components.lib.ledger.history import History
    from dashboards.text.ledger import table
    from flows.command.find import find_pretraining

    if step is not None and document is not None:
        raise ValueError("--step and --document are two questions: ask one at a time.")
    history = History(find_pretraining(run))
    if step is not None:
        seen = history.step(step)
    elif document is not None:
        seen = history.document(document)
    else:
        seen = history.overview()
    if as_json:
        typer.echo(seen.model_dump_json(indent=2))
    else:
        _out.print(table(seen))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed and what was found on this machine."""
    from flows.command.doctor import findings

    found = findings()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name:14} {value if not isinstance(value, dict) else ''}".rstrip())
        for key, item in value.items() if isinstance(value, dict) else ():
            typer.echo(f"  {key:24} {item}")


@app.command()
def sync() -> None:
    """Send MLflow, and the store of artifacts if there is one, what they missed while away."""
    from components.core import store
    from components.core.tracking import shipping

    for folder in shipping.sync():
        typer.echo(folder)
    typer.echo("MLflow has all of every step that is not at work.")
    for folder in store.sync():
        typer.echo(folder)
    if where := settings().artifact_store:
        typer.echo(f"{where} has all artifacts of this machine.")


def _say_which(row: "RunRow") -> None:
    recipe = f", recipe {row.recipe}" if row.recipe else ""
    _out.print(
        f"Run {row.name}{recipe}, begun {look.when(row.began)}, {row.state}.", highlight=False
    )


def _say_where_to_look(flow: str) -> None:
    first = (
        "bloomery chat            talk to the released model"
        if flow == "pipeline"
        else "bloomery report --json   the same for a program"
    )
    _out.print(
        f"\nNext:  {first}\n"
        "       make up                  the runs in Prefect and MLflow\n"
        "       bloomery lineage MODEL   the chain back to the data\n"
        "       bloomery run --set compress.block_size=64   change one decision",
        highlight=False,
    )


@contextmanager
def _clear_errors(debug: bool) -> Generator[None]:
    """Turn an error that a user can mend into one message and exit code 1."""
    try:
        yield
    except Exception as error:
        if debug:
            raise
        expected = isinstance(error, ValueError | OSError | RuntimeError)
        said = str(error) if expected else f"{type(error).__name__}: {error}"
        typer.secho(f"Error: {said}{_of_the_disk(error)}", err=True, fg="red")
        if not expected:
            typer.echo(
                "This should not happen: `bloomery --debug ...` shows where it did.", err=True
            )
        sys.exit(1)


def _of_the_disk(error: Exception) -> str:
    """Return a sentence to add where the reason is, or may be, a full disk."""
    try:
        said = disk.explained(error)
    except (OSError, ValueError):  # a place that cannot be asked, a setting that is not valid
        return ""
    return f" {said}" if said else ""


look.add_to(app)
talk.add_to(app)
stack.add_to(app)
serve.add_to(app)


def entry() -> None:
    """Run the command line; the console script `bloomery`."""
    debug = "--debug" in sys.argv
    warner = logging.StreamHandler()
    warner.setLevel(logging.WARNING)
    for name in ("components", "flows", "infra"):
        logging.getLogger(name).addHandler(warner)
    if not debug:
        warnings.simplefilter("ignore")
    with _clear_errors(debug):
        app()


if __name__ == "__main__":
    entry()
