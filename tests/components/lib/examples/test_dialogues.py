"""Dialogues as batches: packed without loss, hidden from each other, learnt by their answers."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from components.lib.examples.batches import IGNORED, POSITIONS, Batch
from components.lib.examples.dialogues import Dialogues, Stretch, pack
from components.lib.inference.answers import answers
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import load_tokenizer
from components.lib.models.shape import Shape
from components.lib.objectives.next_token import model_inputs
from components.lib.tasks.microtasks import (
    LEVELS,
    TASKS,
    MicroTask,
    generate,
    read_microtasks,
    take_evenly,
)
from components.lib.text.chat import encode_prompt

LENGTH = 128


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    return load_tokenizer(vocabulary.path)


@pytest.fixture(scope="module")
def tasks() -> list[MicroTask]:
    return generate(seed=1, num_instances=240)


@pytest.fixture(scope="module")
def dialogues(tokenizer, tasks) -> Dialogues:
    return Dialogues(tokenizer, [task.dialogue() for task in tasks], LENGTH)


def taken_apart(batch: Batch) -> list[Stretch]:
    """Return what begins at each position 0, in the order of the batch, padding left out."""
    found = []
    rows = zip(batch.inputs, batch.targets, batch.extras[POSITIONS], batch.widths(), strict=True)
    for inputs, targets, places, width in rows:
        (starts,) = np.nonzero(places[:width] == 0)
        for start, end in zip(starts, [*starts[1:], width], strict=True):
            assert places[start:end].tolist() == list(range(end - start))
            found.append(Stretch(inputs[start:end], targets[start:end]))
    return found


def as_lists(stretches) -> list[tuple[list[int], list[int]]]:
    return sorted((one.inputs.tolist(), one.targets.tolist()) for one in stretches)


def test_the_targets_are_exactly_the_completion_and_its_end(tokenizer, tasks, dialogues):
    found = Counter()
    for inputs, targets in taken_apart(dialogues.batch(np.arange(len(tasks)))):
        (places,) = np.nonzero(targets != IGNORED)
        assert (np.diff(places) == 1).all(), "the loss has a hole"
        *completion, end = targets[places].tolist()
        assert end == tokenizer.eos_token_id
        prompt = inputs[: places[0] + 1].tolist()
        found[tokenizer.decode(prompt), tokenizer.decode(completion)] += 1
        # what a position must predict is what stands at the next one
        assert inputs[places[0] + 1 :].tolist() == completion
    expected = Counter((f"<|user|>{task.prompt}<|assistant|>", task.completion) for task in tasks)
    assert found == expected


def test_training_prompts_are_the_ones_that_are_asked_later(tokenizer, tasks, dialogues):
    batch = dialogues.batch(np.array([0]))
    prompt = encode_prompt(tokenizer, tasks[0].prompt)
    assert batch.inputs[0, : len(prompt)].tolist() == prompt
    assert (batch.targets[0, : len(prompt) - 1] == IGNORED).all()
    assert batch.targets[0, len(prompt) - 1] != IGNORED


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "sliding", "moe", "gpt2"])
def test_packed_they_have_the_losses_and_the_gradient_that_each_has_alone(dialogues, architecture):
    """In float32, against one forward and backward pass a dialogue without positions or mask."""
    chosen = np.arange(24)
    batch = dialogues.batch(chosen)
    assert len(batch) < len(chosen) / 2, "nothing is packed, so nothing is shown"
    packed, alone = (_decoder(architecture) for _ in range(2))
    logits = packed(**model_inputs(batch), use_cache=False).logits
    targets = torch.from_numpy(batch.targets)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    loss.backward()
    sums, num_targets = [], 0
    for inputs, wanted in taken_apart(batch):
        found = alone(input_ids=torch.from_numpy(inputs[None]), use_cache=False).logits[0]
        bears_loss = wanted != IGNORED
        nats = -found.log_softmax(-1)[bears_loss, wanted[bears_loss]].sum()
        nats.backward()
        sums.append(nats.item())
        num_targets += int(bears_loss.sum())
    assert num_targets == batch.num_targets()
    assert loss.item() == pytest.approx(sum(sums) / num_targets, rel=1e-5)
    expected = torch.cat([p.grad.flatten() / num_targets for p in alone.parameters()])
    gradient = torch.cat([p.grad.flatten() for p in packed.parameters()])
    assert float((gradient - expected).norm() / expected.norm()) < 1e-5


def _decoder(architecture):
    """Return a model in which attention does something: none of its projections is zero."""
    heads = 4 if architecture == "gpt2" else 2
    shape = Shape(
        architecture=architecture,
        width=64,
        num_layers=2,
        num_heads=4,
        num_key_value_heads=heads,
        max_length=256,
        window=24,
    )
    model = build_model(shape, 512, SpecialIds(0, 1), seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_a_batch_of_the_recipe_is_full_of_tokens(dialogues):
    batch = dialogues.batch(np.arange(64))
    assert batch.inputs.shape[1] == LENGTH
    assert batch.num_tokens() > 0.9 * batch.inputs[:-1].size, "more than a sequence is padding"
    assert batch.num_tokens() == sum(len(one.inputs) for one in taken_apart(batch))


def test_the_same_dialogues_are_packed_the_same_way_whatever_was_asked_before(dialogues):
    first = dialogues.batch(np.array([5, 17, 3]))
    dialogues.batch(np.arange(20))
    again = dialogues.batch(np.array([5, 17, 3]))
    assert np.array_equal(first.inputs, again.inputs)
    assert np.array_equal(first.targets, again.targets)
    assert np.array_equal(first.extras[POSITIONS], again.extras[POSITIONS])


def test_a_dialogue_longer_than_a_sequence_is_not_cut(tokenizer, tasks):
    short = Dialogues(tokenizer, [task.dialogue() for task in tasks], 16).batch(np.arange(12))
    long = Dialogues(tokenizer, [task.dialogue() for task in tasks], 512).batch(np.arange(12))
    assert short.inputs.shape[1] > 16
    assert long.inputs.shape[1] == 512
    assert as_lists(taken_apart(short)) == as_lists(taken_apart(long))


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    length=st.integers(1, 50),
)
def test_packing_keeps_every_stretch_whole_and_adds_nothing_that_bears_a_loss(sizes, length):
    stretches = [
        Stretch(np.arange(100 * n, 100 * n + size), np.arange(100 * n + 1, 100 * n + size + 1))
        for n, size in enumerate(sizes, start=1)
    ]
    batch = pack(stretches, length, padding=7)
    assert as_lists(taken_apart(batch)) == as_lists(stretches)
    assert batch.inputs.shape[1] == max(length, *sizes)
    is_padding = ~batch.holds_tokens()
    assert (batch.inputs[is_padding] == 7).all()
    assert (batch.targets[is_padding] == IGNORED).all()
    assert (batch.extras[POSITIONS][is_padding] == 0).all()


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
