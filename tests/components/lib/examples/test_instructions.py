"""Instructions as batches: the loss is on the answers and nowhere else."""

from collections import Counter

import numpy as np
import pytest
from components.lib.examples.instructions import Instructions

from components.lib.examples.batches import IGNORED
from components.lib.inference.answers import answers
from components.lib.models.folders import load_tokenizer
from components.lib.tasks.microtasks import (
    LEVELS,
    TASKS,
    MicroTask,
    generate,
    read_microtasks,
    take_evenly,
)
from components.lib.text.chat import encode_prompt


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    return load_tokenizer(vocabulary.path)


@pytest.fixture(scope="module")
def tasks() -> list[MicroTask]:
    return generate(seed=1, num_instances=240)


def test_the_targets_are_exactly_the_completion_and_its_end(tokenizer, tasks):
    batch = Instructions(tokenizer, tasks).batch(np.arange(len(tasks)))
    found = Counter()
    for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
        (places,) = np.nonzero(targets != IGNORED)
        assert (np.diff(places) == 1).all(), "the loss has a hole"
        *completion, end = targets[places].tolist()
        assert end == tokenizer.eos_token_id
        prompt = inputs[: places[0] + 1].tolist()
        found[tokenizer.decode(prompt), tokenizer.decode(completion)] += 1
        # what a position must predict is what stands at the next one
        assert inputs[places[0] + 1 : places[-1] + 1].tolist() == completion
        assert (inputs[places[-1] + 1 :] == tokenizer.pad_token_id).all()
    expected = Counter((f"<|user|>{task.prompt}<|assistant|>", task.completion) for task in tasks)
    assert found == expected


def test_training_prompts_are_the_ones_that_are_asked_later(tokenizer, tasks):
    instructions = Instructions(tokenizer, tasks[:1])
    batch = instructions.batch(np.array([0]))
    prompt = encode_prompt(tokenizer, tasks[0].prompt)
    assert batch.inputs[0, : len(prompt)].tolist() == prompt
    assert (batch.targets[0, : len(prompt) - 1] == IGNORED).all()
    assert batch.targets[0, len(prompt) - 1] != IGNORED


def test_rows_are_sorted_by_length_so_that_micro_batches_hold_little_padding(tokenizer, tasks):
    instructions = Instructions(tokenizer, tasks)
    assert len(instructions) == len(tasks)
    batch = instructions.batch(np.arange(len(tasks)))
    lengths = (batch.inputs != tokenizer.pad_token_id).sum(axis=1)
    assert (np.diff(lengths) >= 0).all()
    assert lengths[-1] == batch.inputs.shape[1], "the batch is wider than its longest row"
    chosen = np.array([5, 17, 3])
    same = instructions.batch(chosen[::-1])
    assert np.array_equal(instructions.batch(chosen).inputs, same.inputs)


def test_each_kind_and_level_is_taken_as_often_as_any_other(tasks):
    kinds = len(TASKS) * len(LEVELS)
    taken = take_evenly(generate(seed=2, num_instances=2000), 3 * kinds)
    counts = Counter((task.task, task.level) for task in taken)
    assert set(counts.values()) == {3}
    assert len(counts) == kinds
    uneven = take_evenly(generate(seed=2, num_instances=2000), 3 * kinds + 5)
    spread = Counter((task.task, task.level) for task in uneven).values()
    assert max(spread) - min(spread) == 1


def test_what_is_taken_depends_on_the_tasks_and_not_on_their_order(tasks):
    assert take_evenly(tasks, 50) == take_evenly(tasks[::-1], 50)
    assert len({task.id for task in take_evenly(tasks, 100)}) == 100


def test_rare_kinds_leave_their_turns_to_the_others(tasks):
    one = [task for task in tasks if task.task == "sort"][:1]
    many = [task for task in tasks if task.task == "copy"]
    taken = take_evenly([*many, *one], 10)
    assert Counter(task.task for task in taken) == {"sort": 1, "copy": 9}
    assert len(take_evenly(tasks, 10**6)) == len(tasks)
    assert take_evenly([], 5) == []


def test_a_file_holds_one_task_a_line(instructions):
    file = instructions.path / "train.jsonl"
    tasks = read_microtasks(file)
    assert len(tasks) == len(file.read_text("utf-8").splitlines())
    assert {task.task for task in tasks} == {"count"}


class Parrot:
    """A model that answers with the prompt it was given."""

    def generate(self, prompts, max_new_tokens):
        return [prompt[:max_new_tokens] for prompt in prompts]


def test_answers_come_back_as_text_in_the_order_of_the_tasks(tokenizer, tasks):
    found = answers(Parrot(), tokenizer, tasks[:5])
    assert found == [f"<|user|>{task.prompt}<|assistant|>" for task in tasks[:5]]
