"""On-policy distillation: the loss of what the student wrote, by the formula."""

from pathlib import Path

import numpy as np
import pytest
import torch

from components.lib.examples.questions import PROMPTS, VISITS, Questions
from components.lib.inference.writing import WritingOptions, uniform, write
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.objectives.distil import DistillationOptions
from components.lib.objectives.on_policy import OnPolicy, OnPolicyOptions
from components.lib.objectives.teachers import LiveTeacher
from components.lib.tasks.microtasks import read_microtasks
from components.lib.text.chat import END_OF_TEXT, PADDING, encode_prompt, token_id
from components.lib.training.accumulate import backward
from components.lib.training.parallel import Losses
from tests.components.lib.toy import ROUNDING

LONGEST = 8


def in_doubles(folder: Path):
    """Return a model that autocast leaves alone, so that no draw falls elsewhere by rounding.

    transformers' plain attention takes its softmax in float32, where the least double is -inf: in
    doubles, padding before a prompt makes all of it no number.
    """
    model = load_model(folder).double()
    model.set_attn_implementation("sdpa")
    return model


@pytest.fixture
def tasks(instructions):
    return read_microtasks(instructions.path / "train.jsonl")[:12]


@pytest.fixture
def questions(checkpoint, tasks) -> Questions:
    dialogues = [task.dialogue() for task in tasks]
    tokenizer = load_tokenizer(checkpoint.path)
    return Questions(tokenizer, dialogues, num_visits=3, max_new_tokens=LONGEST, context=128)


@pytest.fixture
def writing(checkpoint) -> WritingOptions:
    tokenizer = load_tokenizer(checkpoint.path)
    end, padding = (token_id(tokenizer, token) for token in (END_OF_TEXT, PADDING))
    return WritingOptions(LONGEST, 1.0, frozenset([end]), padding)


def objective(instruct, writing, share: float) -> OnPolicy:
    options = OnPolicyOptions(share, 5, DistillationOptions("reverse_kl"))
    return OnPolicy(LiveTeacher(in_doubles(instruct.path), 10_000), writing, options)


def test_an_example_is_a_visit_of_a_question_with_its_reference(checkpoint, tasks, questions):
    tokenizer = load_tokenizer(checkpoint.path)
    assert len(questions) == 36
    batch = questions.batch(np.array([2, 14, 35]))
    assert batch.extras[VISITS].tolist() == [[2], [14], [35]]
    for row, number in enumerate([2, 2, 11]):
        prompt = encode_prompt(tokenizer, tasks[number].prompt)
        length = int(batch.extras[PROMPTS][row, 0])
        assert batch.inputs[row, :length].tolist() == prompt
        width = int(batch.widths()[row])
        answer = [*batch.inputs[row, length:width].tolist(), int(batch.targets[row, width - 1])]
        said = tokenizer.encode(tasks[number].completion, add_special_tokens=False)
        assert answer == [*said, token_id(tokenizer, END_OF_TEXT)]


def test_the_loss_is_the_mean_over_what_the_student_wrote_of_how_far_the_teacher_is(
    checkpoint, instruct, questions, writing
):
    student, teacher = in_doubles(checkpoint.path), in_doubles(instruct.path)
    batch = questions.batch(np.array([0, 7, 19, 30]))
    asked = objective(instruct, writing, share=1.0)
    found = asked(student, batch)["distillation"].item()
    numbers = uniform(batch.extras[VISITS][:, 0], LONGEST + 1, 5)
    expected = 0.0
    lengths = []
    for row, visit in enumerate(numbers):
        prompt = batch.inputs[row, : batch.extras[PROMPTS][row, 0]].tolist()
        (answer,) = write(student, [prompt], visit[None, 1:], writing)
        ids = torch.tensor([prompt + answer])[:, :-1]
        with torch.no_grad():
            q, p = (each(input_ids=ids).logits[0].softmax(-1) for each in (student, teacher))
        kl = (q * (q / p).log()).sum(-1)[len(prompt) - 1 :]
        assert len(kl) == len(answer)
        expected += float(kl.mean())
        lengths.append(len(answer))
    assert found == pytest.approx(expected, rel=1e-4)
    assert asked.count(batch) == {"distillation": 4}


def test_a_share_of_the_answers_is_the_students_and_the_others_are_the_references(
    checkpoint, instruct, questions, writing
):
    student, batch = in_doubles(checkpoint.path), questions.batch(np.arange(36))
    losses = {
        share: objective(instruct, writing, share)(student, batch)["distillation"].item()
        for share in (0.0, 0.5, 1.0)
    }
    assert len({round(loss, 6) for loss in losses.values()}) == 3
    mixed = objective(instruct, writing, 0.5)._answers(student, batch)
    references = objective(instruct, writing, 0.0)._answers(student, batch)
    same = [
        np.array_equal(one.inputs, other.inputs)
        for one, other in zip(mixed, references, strict=True)
    ]
    kept = uniform(np.arange(36), 1, 5)[:, 0] >= 0.5
    assert 9 < kept.sum() < 27
    assert (np.array(same) >= kept).all()
    assert sum(same) <= kept.sum() + 2


def test_a_batch_in_parts_has_the_gradient_of_the_whole(checkpoint, instruct, questions, writing):
    batch = questions.batch(np.arange(0, 36, 5))

    def gradient(parts: int) -> tuple[float, torch.Tensor]:
        student, asked = in_doubles(checkpoint.path), objective(instruct, writing, 0.75)
        found = backward(Losses(student, asked), batch, asked.count(batch), parts)
        flat = torch.cat([p.grad.flatten() for p in student.parameters()])
        return found["distillation"].item(), flat

    whole, parts = gradient(1), gradient(3)
    assert parts[0] == pytest.approx(whole[0], rel=ROUNDING)
    assert float((whole[1] - parts[1]).norm() / whole[1].norm()) < ROUNDING
