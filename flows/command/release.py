"""`bloomery release ...`: which version of a registered model has the alias."""

import getpass
import json
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Released models and the alias `champion`.")


@app.callback()
def main() -> None:
    """Which versions were released, and which has the alias."""


@app.command("list")
def list_(
    model: Annotated[str | None, typer.Argument(help="Registered model; else all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the releases, the last one first: when, by which run, and who approved it."""
    from flows.command.look import list_releases

    list_releases(model, as_json)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    why: Annotated[str, typer.Option(help="Reason, noted on the version that loses the alias.")],
    to: Annotated[int | None, typer.Option(help="Version; else the one before.")] = None,
    by: Annotated[str | None, typer.Option(help="Who does it; else this user.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Give the alias `champion` back to an earlier version."""
    from components.release.registry import champion, roll_back

    before = champion(model)
    now = roll_back(model, to, by or getpass.getuser(), why)
    assert before is not None, "roll_back refuses a model without a champion"
    if as_json:
        typer.echo(json.dumps({"model": model, "from": before.version, "to": now.version}))
    else:
        typer.echo(f"{model}: champion is version {now.version} again, no longer {before.version}.")
