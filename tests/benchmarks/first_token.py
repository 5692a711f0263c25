"""How long a person waits for the first token: this build, the one before, and two imports.

`python -m tests.benchmarks.first_token [BEFORE]`: BEFORE is a checkout of the build to compare
with; without one, commit 805fcbe is checked out into a temporary folder. The home, `BLOOMERY_HOME`,
needs a released model: `bloomery run --recipe smoke`. Each turn starts every command as a process
of its own. Ratios are of one turn, since a machine's speed drifts: the median of all turns, and
their range.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from components.core.settings import settings
from flows.command.find import find_model
from tests.benchmarks.before import ROOT, checkout, console_script
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work, num_turns

_PROMPT, _MESSAGE = "The state of the Union", "Sort: 5 2 9\n"
_IMPORTS = "import transformers, torch"


class Waited(NamedTuple):
    """What a command took, its whole process."""

    cpu_seconds: float
    """Of user and system, by the kernel's account of the process that ended."""
    seconds: float
    """By the clock, until it ended."""
    first_seconds: float
    """By the clock, until it printed something; until it ended, where it prints nothing."""


def run(work: Work) -> list[Row]:
    """Measure against the build before, as a part of all benchmarks."""
    try:
        return measured(None)
    except ValueError as error:  # a home without a release
        say(f"first_token is left out. {error}")
        return []


def measured(before: Path | None) -> list[Row]:
    """Measure, show the table and return its rows."""
    name = find_model(None).name
    with checkout(before) as old:
        commands = {
            f"{kind}, {build}": (root, console_script(root, *words), text)
            for build, root in (("this build", ROOT), ("before", old))
            for kind, words, text in (
                ("generate", ["generate", name, _PROMPT, "--max-new-tokens", "1"], ""),
                ("chat", ["chat"], _MESSAGE),
            )
        }
        commands["imports"] = (ROOT, [sys.executable, "-c", _IMPORTS], "")
        turns = [_turn(commands) for _ in range(num_turns() + 1)][1:]  # the first fills caches
    rows = [_row(each, turns) for each in commands]
    show(f"Until the first token of {name}: median of {len(turns)} turns", rows)
    for kind in ("generate", "chat"):
        _say_ratios(kind, turns)
    return rows


def _turn(commands: dict[str, tuple[Path, list[str], str]]) -> dict[str, Waited]:
    return {name: _waited(*command) for name, command in commands.items()}


def _waited(root: Path, command: list[str], text: str) -> Waited:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    home = str(settings().home.resolve())
    environment = {**os.environ, "PYTHONPATH": str(root), "BLOOMERY_HOME": home}
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as typed:
        typed.write(text.encode())
        typed.seek(0)
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=typed, stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        with process.stdout:
            process.stdout.read(1)
            first = time.perf_counter() - start
            process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace")
            raise subprocess.CalledProcessError(process.returncode, command, said)
    return Waited(used.ru_utime + used.ru_stime, seconds, first)


def _row(name: str, turns: list[dict[str, Waited]]) -> Row:
    waited = [turn[name] for turn in turns]
    middle = {field: median(getattr(each, field) for each in waited) for field in Waited._fields}
    return {"command": name, **{field: round(value, 2) for field, value in middle.items()}}


def _say_ratios(kind: str, turns: list[dict[str, Waited]]) -> None:
    for other in (f"{kind}, before", "imports"):
        for field in Waited._fields:
            ratios = [
                getattr(turn[f"{kind}, this build"], field) / getattr(turn[other], field)
                for turn in turns
            ]
            say(
                f"{kind}: {median(ratios):.3f} of {other} ({field}, "
                f"{min(ratios):.3f} to {max(ratios):.3f})"
            )


if __name__ == "__main__":
    measured(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
