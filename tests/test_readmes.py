"""What the pages for people say: commands that the command line takes, links that lead to files."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from flows.changes import changed
from flows.command.app import app
from flows.command.running import FLOWS
from flows.parameters import DEFAULT
from flows.recipes import later_than, recipe

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "components/data/README.md",
    "components/pretrain/README.md",
    "infra/README.md",
    "infra/growing.md",
    "infra/serving.md",
    "tests/benchmarks/README.md",
)
_COMMAND = re.compile(r"^ *(?:[A-Z_]+=\S+ )*bloomery (.+)$")


def commands() -> Iterator[tuple[str, str]]:
    """Yield (page, arguments) of every line of a page that calls `bloomery`."""
    for page in PAGES:
        for line in (ROOT / page).read_text("utf-8").splitlines():
            for part in re.split(r"&&|\|$", line):
                if found := _COMMAND.match(part):
                    yield page, found[1]


def parsed(arguments: str) -> tuple[str, dict[str, Any]]:
    """Return the name of the command and its parameters, as the command line reads them."""
    words = shlex.split(arguments, comments=True)
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands"):
        raise ValueError(f"No such command: {arguments}")
    return command.name, command.make_context(command.name, words).params


@pytest.mark.parametrize(("page", "arguments"), commands())
def test_every_command_of_a_page_is_one_that_the_command_line_takes(
    page: str, arguments: str
) -> None:
    name, given = parsed(arguments)
    if name in ("run", "trigger"):
        assert given["flow"] in FLOWS, page
        without = () if given["flow"] == "pipeline" else later_than(given["flow"])
        changed(recipe(given["recipe"] or DEFAULT), given["set_"] or (), without)


@pytest.mark.parametrize("gone", ["run --sets pretrain.depth=4", "ingest web", "data ingest"])
def test_a_command_that_is_no_longer_there_would_be_noticed(gone: str) -> None:
    with pytest.raises(Exception, match="No such"):
        parsed(gone)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    file = ROOT / page
    links = re.findall(r"\]\(([^)<#]+)\)", file.read_text("utf-8"))
    missing = [
        link for link in links if "://" not in link and not (file.parent / link).resolve().exists()
    ]
    assert missing == []


def test_every_folder_of_the_tree_in_the_readme_is_there() -> None:
    tree = (ROOT / "README.md").read_text("utf-8").partition("## Where everything lives")[2]
    lines = tree.partition("\n## ")[0].splitlines()
    parents = {4: ROOT}
    missing: list[str] = []
    for line in (line for line in lines if line.startswith("    ")):
        depth = len(line) - len(line.lstrip())
        for name in re.match(r"((?:[\w.]+/ ?)+)", line.strip())[1].split():
            folder = parents[depth] / name
            parents[depth + 2] = folder
            if not folder.is_dir() and name != ".bloomery/":
                missing.append(name)
    assert missing == []
