"""The commands that talk to a model: `generate` and `chat`.

A person waits for them, so nothing is imported that the answer does not need: neither torch nor
transformers nor MLflow, where the model has an int8 export.
"""

import json
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from components.core.settings import settings
from flows.command.find import FoundModel, find_model, refuse_damaged, released_names

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `bloomery`."""
    for command in (generate, chat):
        app.command()(command)


def generate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] PROMPT",
            help="Text to go on from, after a registered name or folder; else the last release.",
        ),
    ],
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to write, at most.")] = 64,
    show_probabilities: Annotated[
        bool, typer.Option(help="Show the likeliest next tokens after the prompt.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print how a model goes on from a prompt, greedily."""
    from components.lib.inference.conversation import Conversation
    from components.lib.inference.sampling import Sampling

    *models, prompt = words
    if len(models) > 1:
        raise ValueError(f"{len(words)} arguments. Put the prompt in quotes: it is one of two.")
    found = _chosen_model(models[0] if models else None, "generate")
    talk = Conversation(found.folder, settings().num_threads)
    ids = talk.read(prompt)
    talk.model.check(ids, max_new_tokens)
    top = talk.next_tokens(prompt, 10) if show_probabilities else []
    tokens = talk.stream(ids, Sampling(max_new_tokens=max_new_tokens))
    if as_json:
        text = talk.text(list(tokens))
        who = {"model": found.name, "version": found.version, "recipe": found.recipe}
        answer = {**who, "prompt": prompt}
        rows = [{"token": token, "probability": share} for token, share in top]
        more = {"next_tokens": rows} if top else {}
        typer.echo(json.dumps({**answer, "completion": text, **more}, ensure_ascii=False))
        return
    _speak(talk.spoken(tokens))
    for token, share in top:
        typer.echo(f"{share:7.2%}  {token!r}")


def chat(
    model: Annotated[
        str | None, typer.Argument(help="Registered name or folder; without one, the last release.")
    ] = None,
) -> None:
    """Talk to a model, one message at a time; an empty line or Ctrl-D ends it."""
    from components.lib.inference.conversation import Conversation
    from components.lib.inference.sampling import Sampling

    found = _chosen_model(model, "chat")
    talk = Conversation(found.folder, settings().num_threads)
    typer.echo("Try: Sort: 5 2 9", err=True)
    while message := _ask():
        _speak(talk.spoken(talk.stream(talk.ask(message), Sampling())))


def _chosen_model(name: str | None, command: str) -> FoundModel:
    """Return the model that was asked for, having said which it is and how to choose another."""
    found = find_model(name)
    refuse_damaged(found)
    typer.echo(f"Model: {found}", err=True)
    if name is None:
        names = ", ".join(released_names())
        how = f"`bloomery {command} NAME` takes a registered model ({names}) or a folder."
        typer.echo(f"It is the last release. {how}", err=True)
    return found


def _speak(texts: Iterator[str]) -> None:
    """Print a text as it comes."""
    for text in texts:
        typer.echo(text, nl=False)
    typer.echo()


def _ask() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""
