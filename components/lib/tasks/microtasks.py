"""Micro-tasks: short instructions whose answers a program can check.

They train and measure what a small model can learn within minutes: arithmetic, lists, and reading
a table that is given in the prompt, with the honest answer "unknown" when it does not hold the key.
Everything is a function of the seed, and the split of an instance is a function of its prompt
alone, so that training and test instances stay apart whatever the seed.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from operator import add, mul, sub
from pathlib import Path
from random import Random
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from components.lib.text.dialogue import Dialogue, Message

Task = Literal[
    "arithmetic", "arithmetic_steps", "sort", "reverse", "copy", "count", "lookup", "unknown"
]
Level = Literal[1, 2, 3]
Split = Literal["train", "validation", "test", "preference"]

TASKS: tuple[Task, ...] = get_args(Task)
LEVELS: tuple[Level, ...] = get_args(Level)

UNKNOWN = "unknown"
"""The answer to a question that the prompt does not answer."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# fmt: off
_NAMES = (
    "ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ida", "jim", "kim",
    "leo", "mia", "ned", "ola", "pam", "ray", "sam", "tom", "una", "vic", "zoe",
)
# fmt: on
_OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul}
_STEP = re.compile(r"(-?[0-9]{1,9}) ([+*-]) (-?[0-9]{1,9}) = (-?[0-9]{1,9})")
_MAX_REPEATS = 200
"""Draws without a new prompt after which a task counts as exhausted at a level."""

# by level: numbers of a calculation, items of a list, letters to count in, rows of a table
_NUM_OPERATIONS = {1: 1, 2: 2, 3: 3}
_NUM_ITEMS = {1: (3, 4), 2: (5, 6), 3: (7, 8)}
_NUM_LETTERS = {1: (4, 5), 2: (7, 8), 3: (10, 12)}
_NUM_ROWS = {1: (2, 3), 2: (4, 5), 3: (6, 7)}
_LARGEST_OPERAND = {1: 20, 2: 9, 3: 20}
_LARGEST_ITEM = {1: 9, 2: 19, 3: 99}
_LARGEST_FACTOR = 9

_PHRASINGS: dict[Task, tuple[str, str]] = {
    "arithmetic": ("What is {}?", "Compute {}."),
    "arithmetic_steps": ("Work out {} step by step.", "Show the steps: {}."),
    "sort": ("Sort: {}", "Put in order: {}"),
    "reverse": ("Reverse: {}", "Write backwards: {}"),
    "copy": ("Copy: {}", "Repeat: {}"),
    "count": ("How many {} in: {}", "Count {} in: {}"),
    "lookup": ("{}. What is {}?", "{}. Value of {}?"),
    "unknown": ("{}. What is {}?", "{}. Value of {}?"),
}


class MicroTask(BaseModel):
    """An instruction, a completion to learn from and the answer to check against."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str
    """Hash of the prompt: 16 hexadecimal digits."""
    task: Task
    """What kind of instruction it is."""
    level: Level = Field(description="Difficulty: longer lists, larger numbers.")
    prompt: str
    """The instruction, at most 60 characters at level 1 and 110 at level 3."""
    completion: str
    """The reference answer as text to train on: the answer, after the written steps if any."""
    answer: str
    """The final answer alone."""

    def dialogue(self) -> Dialogue:
        """Return the question and its answer, as any dialogue."""
        messages = (
            Message(role="user", content=self.prompt),
            Message(role="assistant", content=self.completion),
        )
        return Dialogue(id=f"microtasks/{self.id}", messages=messages)


def generate(
    seed: int,
    num_instances: int,
    tasks: Sequence[Task] = TASKS,
    levels: Sequence[Level] = LEVELS,
) -> list[MicroTask]:
    """Draw instances with distinct prompts, one from each task and level in turn.

    A task that has no further instance at a level leaves its turns to the others. Raises
    ValueError if all of them are exhausted before `num_instances`.
    """
    random = Random(seed)
    instances: dict[str, MicroTask] = {}
    cells: list[tuple[Task, Level]] = [(task, level) for task in tasks for level in levels]
    while len(instances) < num_instances:
        if not cells:
            raise ValueError(
                f"{num_instances} instances asked, only {len(instances)} distinct ones found for "
                f"tasks {list(tasks)} at levels {list(levels)}: ask for fewer or add a level"
            )
        for task, level in cells[: num_instances - len(instances)]:
            drawn = _draw_new(random, task, level, instances)
            if drawn is None:
                cells.remove((task, level))
            else:
                instances[drawn.id] = drawn
    return list(instances.values())


def split_of(task: MicroTask) -> Split:
    """Return the split of an instance: 80 % train, 5 % validation, 8 % test, 7 % preference."""
    percentile = int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:8]) % 100
    if percentile < 80:
        return "train"
    if percentile < 85:
        return "validation"
    return "test" if percentile < 93 else "preference"


def is_correct(task: MicroTask, completion: str) -> bool:
    """Whether the completion is the answer, or true steps that lead to it and an `Answer:` line."""
    completion = completion.strip()
    if task.task != "arithmetic_steps":
        return completion == task.answer
    *steps, last = completion.split("\n")
    results = [_result_of_step(step.strip()) for step in steps]
    return (
        last.strip() == f"Answer: {task.answer}"
        and len(results) > 0
        and None not in results
        and str(results[-1]) == task.answer
    )


def _result_of_step(step: str) -> int | None:
    """Return c of a line `a + b = c` that is true, else None."""
    if (match := _STEP.fullmatch(step)) is None:
        return None
    left, operation, right, result = match.groups()
    true = _OPERATIONS[operation](int(left), int(right))
    return true if true == int(result) else None


def _draw_new(
    random: Random, task: Task, level: Level, known: dict[str, MicroTask]
) -> MicroTask | None:
    """Draw an instance whose prompt is not known, or None if there seems to be none left."""
    for _ in range(_MAX_REPEATS):
        content, completion, answer = _DRAW[task](random, level)
        # The content picks its phrasing: one problem is never in two splits in other words.
        phrasing = _PHRASINGS[task][hashlib.sha256(repr(content).encode()).digest()[0] % 2]
        prompt = phrasing.format(*content)
        key = hashlib.sha256(prompt.encode()).hexdigest()[:16]
        if key not in known:
            return MicroTask(
                id=key, task=task, level=level, prompt=prompt, completion=completion, answer=answer
            )
    return None


_Drawn = tuple[tuple[str, ...], str, str]
"""What fills the phrasing, the completion and the answer."""


def _draw_calculation(random: Random, level: Level) -> tuple[str, list[str]]:
    """Return a calculation and its steps. No intermediate result is negative."""
    if level == 1 and random.randrange(3) == 0:
        left, right = (random.randrange(_LARGEST_FACTOR + 1) for _ in range(2))
        return f"{left} * {right}", [f"{left} * {right} = {left * right}"]
    total = random.randrange(_LARGEST_OPERAND[level] + 1)
    calculation, steps = str(total), list[str]()
    for _ in range(_NUM_OPERATIONS[level]):
        operand = random.randrange(_LARGEST_OPERAND[level] + 1)
        operation = "-" if operand <= total and random.randrange(2) else "+"
        result = _OPERATIONS[operation](total, operand)
        calculation += f" {operation} {operand}"
        steps.append(f"{total} {operation} {operand} = {result}")
        total = result
    return calculation, steps


def _draw_arithmetic(random: Random, level: Level) -> _Drawn:
    calculation, steps = _draw_calculation(random, level)
    answer = steps[-1].rpartition(" ")[2]
    return (calculation,), answer, answer


def _draw_arithmetic_steps(random: Random, level: Level) -> _Drawn:
    calculation, steps = _draw_calculation(random, level)
    answer = steps[-1].rpartition(" ")[2]
    return (calculation,), "\n".join([*steps, f"Answer: {answer}"]), answer


def _draw_numbers(random: Random, level: Level) -> list[int]:
    num_items = _between(random, _NUM_ITEMS[level])
    return [random.randrange(_LARGEST_ITEM[level] + 1) for _ in range(num_items)]


def _draw_items(random: Random, level: Level) -> list[str]:
    """Return numbers or letters, as text."""
    if random.randrange(2):
        return [str(number) for number in _draw_numbers(random, level)]
    return [random.choice(_LETTERS) for _ in range(_between(random, _NUM_ITEMS[level]))]


def _draw_sort(random: Random, level: Level) -> _Drawn:
    numbers = _draw_numbers(random, level)
    answer = " ".join(map(str, sorted(numbers)))
    return (" ".join(map(str, numbers)),), answer, answer


def _draw_reverse(random: Random, level: Level) -> _Drawn:
    items = _draw_items(random, level)
    answer = " ".join(reversed(items))
    return (" ".join(items),), answer, answer


def _draw_copy(random: Random, level: Level) -> _Drawn:
    answer = " ".join(_draw_items(random, level))
    return (answer,), answer, answer


def _draw_count(random: Random, level: Level) -> _Drawn:
    choices = _distinct(random, _LETTERS, 3)
    letters = [random.choice(choices) for _ in range(_between(random, _NUM_LETTERS[level]))]
    answer = str(letters.count(choices[0]))
    return (choices[0], " ".join(letters)), answer, answer


def _draw_lookup(random: Random, level: Level) -> _Drawn:
    rows, _ = _draw_table(random, level)
    name, answer = random.choice(list(rows.items()))
    return (_table_text(rows), name), answer, answer


def _draw_unknown(random: Random, level: Level) -> _Drawn:
    rows, absent = _draw_table(random, level)
    return (_table_text(rows), absent), UNKNOWN, UNKNOWN


def _draw_table(random: Random, level: Level) -> tuple[dict[str, str], str]:
    """Return a table of names and numbers, and a name that is not in it."""
    *names, absent = _distinct(random, _NAMES, _between(random, _NUM_ROWS[level]) + 1)
    return {name: str(random.randrange(_LARGEST_ITEM[level] + 1)) for name in names}, absent


def _table_text(rows: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in rows.items())


def _distinct(random: Random, choices: Sequence[str], count: int) -> list[str]:
    left = list(choices)
    return [left.pop(random.randrange(len(left))) for _ in range(count)]


def _between(random: Random, bounds: tuple[int, int]) -> int:
    return random.randrange(bounds[0], bounds[1] + 1)


_DRAW: dict[Task, Callable[[Random, Level], _Drawn]] = {
    "arithmetic": _draw_arithmetic,
    "arithmetic_steps": _draw_arithmetic_steps,
    "sort": _draw_sort,
    "reverse": _draw_reverse,
    "copy": _draw_copy,
    "count": _draw_count,
    "lookup": _draw_lookup,
    "unknown": _draw_unknown,
}


def read_microtasks(file: Path) -> list[MicroTask]:
    """Read one micro-task a line."""
    return [MicroTask.model_validate_json(line) for line in file.open(encoding="utf-8")]


def take_evenly(tasks: Sequence[MicroTask], number: int) -> list[MicroTask]:
    """Return `number` of `tasks`, the same from each kind and level as far as there are any."""
    cells: dict[tuple[str, int], list[MicroTask]] = {}
    for task in sorted(tasks, key=lambda task: task.id):
        cells.setdefault((task.task, task.level), []).append(task)
    deepest = max(map(len, cells.values()), default=0)
    turns = [cell[i] for i in range(deepest) for _, cell in sorted(cells.items()) if i < len(cell)]
    return turns[:number]
