"""The command that serves models: `serve`."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command to `bloomery`."""
    app.command()(serve)


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL[@ALIAS] ...",
            help="Registered names, whose aliases are followed, or folders (NAME=FOLDER).",
        ),
    ],
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; else BLOOMERY_SERVING_PORT, 8000.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of keys, a line each: NAME KEY. Only they come in.")
    ] = None,
    slots: Annotated[int, typer.Option(help="Requests that a model works on at once.")] = 8,
    queue: Annotated[int, typer.Option(help="Requests that wait for a slot.")] = 64,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of an answer, at most.")] = 4096,
    answer_seconds: Annotated[float, typer.Option(help="Time of an answer, at most.")] = 300,
    canary: Annotated[
        list[str] | None,
        typer.Option(help="NAME@ALIAS=0.1: that version answers a tenth of the requests."),
    ] = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(help="NAME@ALIAS=0.1: that version is asked a tenth of them too, unseen."),
    ] = None,
    keep_answers: Annotated[
        str,
        typer.Option(help="Whose answers are kept, masked: none, asked (store=true) or all."),
    ] = "none",
) -> None:
    """Serve models to OpenAI's clients at http://127.0.0.1:8000/v1, until Ctrl-C."""
    from infra.serving import running
    from infra.serving.options import Limits
    from infra.serving.shares import share

    limits = Limits(
        num_slots=slots,
        max_waiting=queue,
        max_new_tokens=max_new_tokens,
        answer_seconds=answer_seconds,
    )
    canaries = [share(words, "canary") for words in canary or ()]
    shadows = [share(words, "shadow") for words in shadow or ()]
    serving = running.Serving.model_validate(
        {
            "models": tuple(models),
            **({"port": port} if port else {}),
            "keys": keys,
            "limits": limits,
            "shares": (*canaries, *shadows),
            "consent": keep_answers,
        }
    )
    typer.echo(f"Loading {', '.join(models)} ...", err=True)
    running.serve(serving)
