"""Every command of every page is run as it is written, or listed here with why it is not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.stacks import CHECKOUT, FINAL, Stack, fetch, until

_PROGRAMS = "bloomery|curl|docker|git|helm|kubectl|make|mlflow|pip|prefect|python3?|ray|torchrun"
_COMMAND = re.compile(rf"^ *((?:[A-Z_]+=\S+ )*(?:{_PROGRAMS}) .+)$")
_TRIGGER = re.compile(r"<!-- trigger: begin -->\s*```sh\n(.*?)```\s*<!-- trigger: end -->", re.S)
_CODE = re.compile(r"^```.*?^```|^(?: {4}.*\n)+", re.S | re.M)
_MEANT = {"bloomery-tiny": "bloomery-smoke", "--step 400": "--step 20"}
"""What the pages have, and the smaller thing that a test has the time for."""

RUN = {
    "README.md": [
        "bloomery runs",
        "bloomery models",
        "bloomery report --json",
        "bloomery lineage bloomery-tiny",
        "bloomery ledger bloomery-tiny --step 400",
    ],
    "infra/README.md": [
        "bloomery run pretrain --recipe smoke",
        "bloomery run pretrain --recipe smoke --set pretrain.depth=4",
        "bloomery release list",
        "bloomery sync",
    ],
}
"""What runs after the lines of `infra/README.md` that start runs, on their stack."""

_SETUP = "it is the suite, or sets up this environment"
_LONG = "it takes minutes to hours: tests/test_readmes.py checks its recipe and its options"
_DATA = "it takes what a stranger has: tests/flows/command/test_data.py does it with other data"
_ELSEWHERE = "it needs other machines: tests/infra/test_containers.py reads its files"
_BENCHMARK = "it is a benchmark: `make bench`"
_PERSON = "it asks a person: tests/infra/test_approval.py and tests/flows/command/test_talk.py do"

_SERVED = "it answers until it is stopped; tests/infra/serving starts the same"
NOT_RUN = {
    "README.md": {
        "make run": _SETUP,
        "make test": _SETUP,
        "make up": "tests/infra/stacks.py starts the same",
        "bloomery data add letters ~/letters": _DATA,
        "bloomery data add mine chats.jsonl": _DATA,
        "bloomery data add notes ~/notes": _DATA,
        "bloomery data card letters": _DATA,
        "bloomery run": _LONG,
        "bloomery chat": _PERSON,
        "bloomery serve": _SERVED,
    },
    "components/compress/README.md": {"bloomery run --recipe compress": _LONG},
    "components/data/README.md": {"bloomery data": _DATA, "bloomery run data": _LONG},
    "components/pretrain/README.md": {
        "bloomery run pretrain": _LONG,
        "bloomery run --recipe": _LONG,
        "bloomery ledger --step 250": _LONG,
        "BLOOMERY_NUM_WORKERS=2": _LONG,
        "BLOOMERY_RAY_ADDRESS=off BLOOMERY_NUM_WORKERS=8": _ELSEWHERE,
        "torchrun --nproc-per-node 8": _ELSEWHERE,
    },
    "infra/README.md": {
        "bloomery trigger pipeline --set approval.ask=true": _PERSON,
        "bloomery release rollback bloomery-tiny": "tests/flows/test_pipeline.py has two releases",
    },
    "infra/growing.md": {
        "bloomery doctor && bloomery up --ray": _ELSEWHERE,
        "bloomery run pretrain --recipe small": _LONG,
        "docker": _ELSEWHERE,
        "kubectl": _ELSEWHERE,
    },
    "infra/serving.md": {"bloomery": _SERVED, "BLOOMERY_BENCH_MODEL=": _BENCHMARK},
    "tests/benchmarks/README.md": {
        "make run": _SETUP,
        "python -m tests.benchmarks": _BENCHMARK,
        "BLOOMERY_BENCH_MODEL=": _BENCHMARK,
        "BLOOMERY_BENCH_MEGABYTES=30 python -m tests.benchmarks": _BENCHMARK,
    },
}
"""How a command begins that is not run here, and why."""


def _pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def _lines_that_start_runs() -> str:
    found = _TRIGGER.search((CHECKOUT / "infra" / "README.md").read_text("utf-8"))
    assert found, "infra/README.md does not say how to start a run"
    return found[1]


def commands(text: str) -> Iterator[str]:
    """Yield every command in the code of a page, without the comment after it."""
    for code in _CODE.findall(_TRIGGER.sub("", text)):  # the lines that start runs run together
        for line in code.splitlines():
            if found := _COMMAND.match(line):
                yield re.split(r"\s+#\s", found[1])[0].strip()


def _uncovered(page: str, text: str) -> list[str]:
    begun = tuple(NOT_RUN.get(page, {}))
    run = RUN.get(page, [])
    return [each for each in commands(text) if each not in run and not each.startswith(begun)]


@pytest.mark.parametrize("page", _pages())
def test_every_command_of_a_page_is_run_or_it_is_said_why_not(page: str) -> None:
    text = (CHECKOUT / page).read_text("utf-8")
    assert _uncovered(page, text) == [], "add them to RUN, or to NOT_RUN with the reason"
    written = list(commands(text))
    assert set(RUN.get(page, [])) <= set(written), "no longer on the page"
    stale = [b for b in NOT_RUN.get(page, {}) if not any(each.startswith(b) for each in written)]
    assert stale == [], "no longer on the page"


def test_a_new_command_of_a_page_would_be_noticed() -> None:
    text = (
        "Text\n\n    bloomery frobnicate --hard   # as nobody did\n\n```sh\nkubectl get pods\n```\n"
    )
    assert _uncovered("README.md", text) == ["bloomery frobnicate --hard", "kubectl get pods"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `bloomery` is the one of this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    ours = folder / "bloomery"
    ours.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m flows.command.app "$@"\n', encoding="utf-8"
    )
    ours.chmod(0o755)
    return f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin"


def _bash(lines: str, stack: Stack, path: str, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        env={**stack.environment, "PATH": path},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=900,
    )
    assert done.returncode == 0, lines + done.stdout + done.stderr


def _forget_the_champion(stack: Stack) -> None:
    """Have the next release be held against no other, as on a new machine."""
    champion = {"name": "bloomery-smoke", "alias": "champion"}
    fetch(f"{stack.mlflow}/api/2.0/mlflow/registered-models/alias", champion, "DELETE")


@pytest.mark.slow
@pytest.mark.prove
def test_the_commands_about_runs_come_to_their_end_as_they_are_written(
    stack: Stack, path: str, tmp_path: Path
) -> None:
    def runs() -> list[dict[str, Any]]:
        body = {"deployments": {"name": {"any_": ["pipeline"]}}}
        return stack.call("/flow_runs/filter", body)[1]

    _forget_the_champion(stack)
    before = {run["id"] for run in runs()}
    port = stack.environment["BLOOMERY_PREFECT_PORT"]
    _bash(_lines_that_start_runs().replace("4200", port), stack, path, tmp_path)
    made = [run["id"] for run in runs() if run["id"] not in before]
    assert len(made) == 4  # by curl, by what --print wrote, by Prefect's command, by ours
    until(lambda: all(stack.state(run) in FINAL for run in made), 600)
    for run in made:
        ended = stack.call(f"/flow_runs/{run}")[1]
        assert ended["state"]["name"] == "Completed", ended["state"]["message"]
        assert ended["parameters"] == {"recipe": "smoke", "set": {"pretrain.depth": 3}}
        assert ended["name"].startswith("smoke-")
    for command in (each for written in RUN.values() for each in written):
        for shown, meant in _MEANT.items():
            command = command.replace(shown, meant)
        _bash(command, stack, path, tmp_path)
