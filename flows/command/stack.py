"""The commands of the stack: `up`, `down`, `status`, `trigger`."""

import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from components.core.servers.endpoints import named_api

_DOWN = os.EX_UNAVAILABLE
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `bloomery`."""
    for command in (up, down, status, trigger):
        app.command()(command)


def up(
    ray: Annotated[bool, typer.Option(help="Keep a Ray head warm; runs then use it.")] = False,
    serve: Annotated[
        list[str] | None,
        typer.Option(help="MODEL[@ALIAS]: serve it too, once it is released (repeatable)."),
    ] = None,
) -> None:
    """Start Prefect, a worker, MLflow and the dashboard until Ctrl-C or `bloomery down`."""
    from infra import stack

    stack.serve(ray, serve or ())


def down() -> None:
    """Stop what `bloomery up` has started, and what one that was killed has left."""
    from infra.stack import stop

    typer.echo("Stopped." if stop() else "Nothing is up.")


def status(as_json: Json = False) -> None:
    """Show what is up; the exit code is 0 if all is, 1 if a service is down, 69 if nothing is."""
    from components.core.settings import settings
    from infra import status as stack

    found = stack.now()
    if found is None:
        _warn_of_named_api()
    if as_json:
        body = found.model_dump(mode="json") if found else {"services": []}
        typer.echo(json.dumps({"up": found is not None and found.is_healthy, **body}, indent=2))
    elif found is None:
        typer.echo("Nothing is up. Start it with `bloomery up`.")
    else:
        width = None if sys.stdout.isatty() else 160
        Console(highlight=False, width=width).print(stack.table(found, settings().home.resolve()))
    if found is None or not found.is_healthy:
        raise typer.Exit(_DOWN if found is None else 1)


def _warn_of_named_api() -> None:
    """Say that the shell names a server that is not there; commands would look for it."""
    try:
        named_api()
    except ValueError as error:
        typer.secho(f"Warning: {error}", err=True, fg="yellow")


def trigger(
    flow: Annotated[str, typer.Argument(help="Name of a deployment, `bloomery trigger pipeline`.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="Name of a recipe in flows/recipes.py; else what the deployment says."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path.to.field=value, changes the recipe.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end of the run.")] = False,
    key: Annotated[
        str | None,
        typer.Option("--idempotency-key", help="The same key twice is one run."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print what would be sent, and send nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have the worker run a flow: 0 if it was accepted, or completed with --wait, else 1.

    A run that was cancelled or preempted ends with 75; without servers the exit code is 69.
    """
    from flows.command import trigger as triggering

    body = triggering.request(flow, recipe, set_ or [], key)
    if show:
        typer.echo(json.dumps(body))
        return
    try:
        run = triggering.start(flow, body)
        run = triggering.wait(run) if wait else run
    except triggering.NothingIsUp as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        raise typer.Exit(_DOWN) from None
    typer.echo(run.model_dump_json(indent=2) if as_json else str(run))
    if code := run.exit_code(waited=wait):
        raise typer.Exit(code)
