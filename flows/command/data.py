"""The `bloomery data` commands: take documents in, bring a revision back."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.core.servers.endpoints import running_servers
from components.core.settings import settings

if TYPE_CHECKING:
    from components.data.sources.source import Source

_EXCERPT = 200

app = typer.Typer(no_args_is_help=True, help="The raw data and its revisions.")


@app.callback()
def main() -> None:
    """The raw data and its revisions."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(lambda record: record.levelno < logging.WARNING)  # those are shown anyway
    logging.getLogger("components.data").addHandler(handler)
    logging.getLogger("components.data").setLevel(logging.INFO)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the folder it becomes in data/.")],
    source: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or a quoted pattern (.txt .md .html .jsonl .json .csv .tsv "
            ".parquet .warc, each also .gz .zst .bz2 .xz, and .zip .tar), https://..., s3://... "
            "(gs://, az://, any fsspec URL), hf://NAME or hf:///folder, or a SQLAlchemy URL with "
            "--query."
        ),
    ],
    text_column: Annotated[
        str, typer.Option(help="Column that holds the text; several, by commas, are joined.")
    ] = "text",
    split: Annotated[str, typer.Option(help="Split of a Hugging Face dataset.")] = "train",
    query: Annotated[str, typer.Option(help="SQL that gives one row a document.")] = "",
    unit: Annotated[
        str, typer.Option(help="What a document is in .txt and .md: file, paragraph or line.")
    ] = "file",
    reader: Annotated[
        str,
        typer.Option(help="Read every file as text, html, jsonl, json, csv, parquet or warc."),
    ] = "",
    separator: Annotated[
        str, typer.Option(help="Of CSV: comma, semicolon, tab or bar; else found out.")
    ] = "",
    header: Annotated[
        str, typer.Option(help="First row of CSV names the columns: yes, no or auto.")
    ] = "auto",
    encoding: Annotated[str, typer.Option(help="Of text without a byte order mark.")] = "utf-8",
    license_: Annotated[
        str, typer.Option("--license", help="Licence of the documents, such as CC-BY-4.0.")
    ] = "",
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Share of bad records that is left out.")
    ] = 0.05,
    max_record_mib: Annotated[
        int, typer.Option(min=1, help="Longer records are left out, in MiB.")
    ] = 16,
    max_ratio: Annotated[
        float, typer.Option(min=1, help="How much larger compressed files may become.")
    ] = 100,
    kind: Annotated[
        str,
        typer.Option(
            "--as",
            help="What the rows are: documents, instructions (dialogues to learn), preferences "
            "(a prompt with a chosen and a rejected answer) or evaluation (never trained on: it is "
            "looked for in the rest).",
        ),
    ] = "documents",
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="The same as --as evaluation.")
    ] = False,
    append: Annotated[
        bool, typer.Option("--append", help="Keep what NAME holds and add what is new.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be read and how; add nothing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Take documents into `data/NAME` and make a new revision of `data.dvc`.

    What else is said by --as lies in `data/<that>/NAME`. Of dialogues and preferences the format is
    recognised row by row.

    Bad records are left out, counted, and written to a file that is named at the end. If the
    servers are up, the new revision is an event there, as that of the flow `ingest` is.
    """
    from components.data.repository import dataset
    from components.data.sources.source import Source
    from flows.command.added import kind_of, said_of

    wanted = Source.model_validate(
        {
            "location": source[0],
            "kind": kind_of(kind, evaluation),
            "more": source[1:],
            "text_column": text_column,
            "split": split,
            "query": query,
            "unit": unit,
            "reader": reader,
            "separator": separator,
            "header": header,
            "encoding": encoding,
            "license": license_,
            "max_bad": max_bad,
            "max_record_bytes": max_record_mib << 20,
            "max_ratio": max_ratio,
        }
    )
    project, state = _places()
    if dry_run:
        _show_preview(name, wanted, as_json)
        return
    done = dataset.add(project, state, name, wanted, append=append)
    if (servers := running_servers()) is not None:
        os.environ["PREFECT_API_URL"] = f"{servers.prefect}/api"  # before Prefect is imported
        from flows.ingest import announce

        announce(done)
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
        return
    for line in said_of(done):
        typer.echo(line)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.")] = False,
) -> None:
    """List the datasets in `data/`."""
    from components.data.repository.holdings import holdings

    held = holdings(_places()[0])
    if as_json:
        typer.echo(json.dumps([each.model_dump() for each in held], indent=2))
        return
    table = Table("name", "read as")
    for name in ("rows", "MB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for each in held:
        size, origin = f"{each.bytes / 1e6:,.1f}", "built in" if each.is_built_in else ""
        formats = "; ".join(f"{rows:,} {name}" for name, rows in each.formats.items())
        table.add_row(each.name, each.kind, f"{each.rows:,}", size, origin or formats)
    _console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Dataset, as `bloomery data list` names it.")],
    number: Annotated[int, typer.Option(min=0, help="Rows whose beginning is shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.")] = False,
) -> None:
    """Show a dataset in `data/`: its size, where it came from, how its first rows begin."""
    from components.data.repository.holdings import beginnings, holding, origin_of

    project, state = _places()
    held = holding(project, name)
    origin, rows = origin_of(state, held.name), list(beginnings(project, held, number))
    if as_json:
        shown = {"dataset": held.model_dump(), "origin": origin, "rows": dict(rows)}
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{held.name}: {held.rows:,} rows of {held.kind}, {held.bytes / 1e6:,.1f} MB")
    for format_, rows_ in held.formats.items():
        typer.echo(f"{rows_:8,} recognised as {format_}")
    for license_, rows_ in held.licenses.items():
        typer.echo(f"{rows_:8,} under {license_ or 'a licence that nobody named'}")
    if origin:
        license_ = f", licence {origin['license']}" if origin["license"] else ""
        typer.echo(f"from {origin['location']}{license_}")
    elif held.is_built_in:
        typer.echo("built in: made from installed packages")
    for file in held.files:
        typer.echo(f"data/{file}")
    for title, text in rows:
        _show_beginning(title, text)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Dataset, as `bloomery data list` names it.")],
) -> None:
    """Take a dataset out of `data/` and make a new revision of `data.dvc`.

    Runs that read it can still have it back: `bloomery data restore RUN`.
    """
    from components.data.repository import dataset

    project, state = _places()
    before = dataset.revision(project)
    revision = dataset.remove(project, state, name)
    typer.echo(f"data/{name} is gone; data.dvc now pins revision {revision}.")
    typer.echo(f"Take it back with `bloomery data restore {before} --checkout`.")


@app.command()
def restore(
    run: Annotated[
        str, typer.Argument(help="Flow run, MLflow run, registered model, or a revision.")
    ],
    to: Annotated[Path | None, typer.Option(help="Empty or new folder to write it to.")] = None,
    checkout: Annotated[
        bool, typer.Option("--checkout", help="Change data/ and data.dvc to it.")
    ] = False,
) -> None:
    """Bring back exactly the data that a run was made of."""
    from components.data.repository import dataset
    from components.data.repository.versions import revision_of

    if checkout == (to is not None):
        raise ValueError("Say where: --to FOLDER, or --checkout to change data/ and data.dvc.")
    project, state = _places()
    revision = revision_of(run)
    if to is None:
        dataset.checkout(project, state, revision)
        typer.echo(f"data/ and data.dvc are revision {revision} now. Next: `bloomery run`.")
    else:
        dataset.bring(project, state, revision, to.resolve())
        typer.echo(f"{to} holds data/ as it was at revision {revision}.")


@app.command("card")
def card_(
    name: Annotated[
        str | None, typer.Argument(help="Dataset in data/, or flow run; else the last card.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all it says as JSON.")] = False,
) -> None:
    """Show what a dataset is: its funnel, and how well each step finds what it looks for."""
    from dashboards.text import card, dialogue_card
    from flows.cards import find_card, find_dialogue_card

    if (folder := find_dialogue_card(name or "")) is not None:
        content, page = dialogue_card.read_card(folder), folder / "card.json"
        shown = dialogue_card.tables(content)
    else:
        folder, source = find_card(name)
        content, page = card.read_card(folder, source), folder / "report" / "card.html"
        shown = card.tables(content)
    if as_json:
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    _console().print(shown)
    typer.echo(f"The whole card: {page}")


def _show_preview(name: str, source: "Source", as_json: bool) -> None:
    from components.data.sources.preview import preview
    from flows.command.added import planned

    found = preview(name, source, _places()[1])
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    for line in planned(found):
        typer.echo(line)
    for document in found.documents:
        _show_beginning(document.id, document.text)
    typer.echo("Nothing was added.")


def _show_beginning(title: str, text: str) -> None:
    start = " ".join(text[:_EXCERPT].split())
    typer.echo(f"\n{title}\n    {start}{' ...' if len(text) > _EXCERPT else ''}")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 110)


def _places() -> tuple[Path, Path]:
    return settings().project.resolve(), settings().home.resolve()
