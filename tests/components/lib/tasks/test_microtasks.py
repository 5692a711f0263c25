"""Micro-tasks: the checker accepts the reference answers and nothing that only looks alike."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.lib.tasks.microtasks import (
    LEVELS,
    TASKS,
    MicroTask,
    generate,
    is_correct,
    split_of,
)

ROOT = Path(__file__).parents[4]
INSTANCES = generate(seed=7, num_instances=2400)
instances = st.sampled_from(INSTANCES)


def solve(task: MicroTask) -> str:
    """Solve a micro-task from its prompt alone, by other means than the generator."""
    words = task.prompt.rstrip(".?").replace(",", "").replace(".", " .").split()
    match task.task:
        case "arithmetic" | "arithmetic_steps":
            return str(eval("".join(c for c in task.prompt if c in "0123456789+-*")))
        case "count":
            before, _, letters = task.prompt.partition(" in: ")
            return str(letters.split().count(before.split()[-1]))
        case "lookup" | "unknown":
            table = words[: words.index(".")]
            return dict(zip(table[::2], table[1::2], strict=True)).get(words[-1], "unknown")
        case _:
            items = task.prompt.partition(": ")[2].split()
            if task.task == "sort":
                items.sort(key=float)
            return " ".join(reversed(items) if task.task == "reverse" else items)


@given(st.integers(), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_every_reference_completion_is_correct_and_the_answer_is_that_of_the_prompt(seed, count):
    for task in generate(seed, count):
        assert is_correct(task, task.completion)
        assert is_correct(task, f" {task.completion}\n")
        assert task.answer == solve(task)


@given(instances, st.integers(0, 200), st.sampled_from("0123456789 abcxyz-\n"))
def test_a_completion_with_one_character_changed_is_wrong(task, place, character):
    text = task.completion
    place %= len(text)
    corrupted = text[:place] + character + text[place + 1 :]
    if corrupted.strip() != text and corrupted.split() != text.split():
        assert not is_correct(task, corrupted)


@given(instances, st.text(max_size=80))
def test_any_text_is_checked_without_an_error(task, text):
    assert is_correct(task, text) == (text.strip() == task.answer) or "steps" in task.task


@pytest.mark.parametrize(
    "completion",
    [
        "5",
        "Answer: 5",
        "3 + 4 = 8\n7 - 2 = 5\nAnswer: 5",
        "3 + 4 = 7\n7 - 2 = 5\nAnswer: 6",
        "3 + 4 = 7\n7 - 2 = 5",
        "3 + 4 = 7\nAnswer: 5",
        "3 + 4 = 7\nso\n7 - 2 = 5\nAnswer: 5",
        "3 + 4 = 7\n7 - 2 = 5\nAnswer: 5\nAnswer: 5",
        "\u0663 + 4 = 7\n7 - 2 = 5\nAnswer: 5",
        "1 + " + "9" * 5000 + " = 7\nAnswer: 5",
    ],
)
def test_written_steps_must_be_there_be_true_and_lead_to_the_answer(completion):
    task = MicroTask(
        id="0" * 16,
        task="arithmetic_steps",
        level=2,
        prompt="Work out 3 + 4 - 2 step by step.",
        completion="3 + 4 = 7\n7 - 2 = 5\nAnswer: 5",
        answer="5",
    )
    assert is_correct(task, "4 - 2 = 2\n3 + 2 = 5\nAnswer: 5"), "any true way is as good"
    assert not is_correct(task, completion)


def test_prompts_are_distinct_short_and_balanced_over_tasks_and_levels():
    assert len({task.prompt for task in INSTANCES}) == len({t.id for t in INSTANCES}) == 2400
    assert set(Counter((task.task, task.level) for task in INSTANCES).values()) == {100}
    longest = {
        level: max(len(task.prompt) for task in INSTANCES if task.level == level)
        for level in LEVELS
    }
    assert longest[1] <= 60
    assert longest[3] <= 110


def test_the_splits_have_their_shares_and_no_prompt_is_in_two_whatever_the_seed():
    shares = Counter(split_of(task) for task in INSTANCES)
    for name, share in {
        "train": 0.80,
        "validation": 0.05,
        "test": 0.08,
        "preference": 0.07,
    }.items():
        assert shares[name] / 2400 == pytest.approx(share, abs=0.02)
    split_of_prompt: dict[str, str] = {}
    for seed in range(4):
        for task in generate(seed, 1200):
            assert split_of_prompt.setdefault(task.prompt, split_of(task)) == split_of(task)


def test_one_problem_is_asked_in_one_wording_only_so_that_no_split_holds_it_in_another():
    problems = [
        (task.task, task.prompt.partition(": ")[2] or task.prompt.strip(".?").split(" ", 1)[1])
        for task in generate(seed=3, num_instances=700, tasks=["arithmetic"], levels=[1])
    ]
    calculations = ["".join(c for c in text if c not in "is ") for _, text in problems]
    assert len(set(calculations)) == len(calculations)


def test_the_same_seed_gives_the_same_instances_in_another_process():
    code = (
        "from components.lib.tasks.microtasks import generate;"
        "print(hash(''.join(t.model_dump_json() for t in generate(7, 2400)).encode()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code.replace("hash(", "__import__('zlib').crc32(")],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert generate(7, 240) != generate(8, 240)


def test_more_instances_than_exist_are_refused_with_the_number_that_was_found():
    with pytest.raises(ValueError, match=r"5000 instances asked, only \d{3} distinct ones"):
        generate(seed=0, num_instances=5000, tasks=["arithmetic"], levels=[1])


def test_tasks_and_levels_can_be_chosen():
    chosen = generate(seed=0, num_instances=40, tasks=["sort", "unknown"], levels=[2])
    assert {(task.task, task.level) for task in chosen} == {("sort", 2), ("unknown", 2)}
    assert {task.task for task in INSTANCES} == set(TASKS)
