"""Weak scaling on this machine: two data-parallel processes (gloo) against one, a thread each.

Two processes that know nothing of each other are measured too: what they lose against one alone is
the machine's (shared caches, memory, clock), and what a pair loses against them is communication.
"""

from contextlib import ExitStack
from statistics import median

from tests.benchmarks.table import Row, show
from tests.benchmarks.throughput import ours
from tests.benchmarks.turns import Running, running
from tests.benchmarks.work import Work, num_turns

_FIRST_STEPS, _STEPS = 2, 3


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    with ExitStack() as stack:
        alone = _start(stack, work, "alone", 1)
        strangers = [alone[0], *_start(stack, work, "stranger", 1)]
        pair = _start(stack, work, "pair", 2)
        groups = {"one": alone, "two that do not talk": strangers, "two, data-parallel": pair}
        turns = {name: list[float]() for name in groups}
        for _ in range(num_turns()):
            for name, group in groups.items():
                turns[name].append(_seconds(group, _STEPS))
    rows = [_row(work, name, len(groups[name]), turns) for name in groups]
    show("Weak scaling on this machine, one thread and the same batch a process", rows)
    return rows


def _start(stack: ExitStack, work: Work, name: str, size: int) -> list[Running]:
    """Start the processes of a group and let them take their first steps together."""
    group: list[Running] = []
    for rank in range(size):
        options = {
            "threads": 1,
            "num_processes": size,
            "rank": rank,
            "meeting": str(work.out / f"{name}_meeting"),
        }
        out = work.out / (name if size == 1 else f"{name}_{rank}")
        own = work.model_copy(update={"out": out})
        group.append(stack.enter_context(running(ours(name, options), own)))
    _seconds(group, _FIRST_STEPS)
    return group


def _seconds(group: list[Running], num_steps: int) -> float:
    """Return how long a group takes for `num_steps`, all at the same time."""
    for process in group:
        process.grant(num_steps)
    return max(process.turn().seconds for process in group)


def _row(work: Work, name: str, size: int, turns: dict[str, list[float]]) -> Row:
    """Return a group's rate, and its rate a process as a share of one alone and of strangers."""
    seconds = turns[name]
    row: Row = {
        "processes": name,
        "tokens_per_second": round(size * _STEPS * work.tokens_per_step / median(seconds)),
    }
    for other, column in (("one", "efficiency"), ("two that do not talk", "against_strangers")):
        if size > 1 and other != name:
            ratios = [base / own for base, own in zip(turns[other], seconds, strict=True)]
            row[column] = round(median(ratios), 3)
    return row
