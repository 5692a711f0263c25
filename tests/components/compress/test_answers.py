"""TeacherAnswers: what a teacher says, without what nobody should learn."""

import json

import pytest

from components.compress.answers import Sample, TeacherAnswers, TeacherAnswersInputs
from components.core.artifacts.data import Instructions
from components.finetune.sft import SFT, SFTInputs
from components.lib.inference.torch_model import TorchModel
from components.lib.tasks.microtasks import is_correct, read_microtasks
from components.lib.text.dialogue import Dialogue, Message, read_dialogues
from components.lib.training.hyperparameters import Hyperparameters


@pytest.fixture
def inputs(instruct, instructions) -> TeacherAnswersInputs:
    return TeacherAnswersInputs(teacher=instruct, instructions=instructions)


def asking(**changes) -> TeacherAnswers:
    values = {"num_samples": 3, "max_new_tokens": 12, "num_questions": 150}
    return TeacherAnswers(**{**values, **changes})


def lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_of_tasks_that_a_program_checks_only_right_answers_stay_and_sft_takes_them(
    inputs, shards, tmp_path
):
    out = tmp_path / "answers"
    out.mkdir()
    made = asking().run(inputs, out)
    tasks = {
        f"microtasks/{t.id}": t for t in read_microtasks(inputs.instructions.path / "train.jsonl")
    }
    rows, rejects = list(read_dialogues(out / "train.jsonl")), lines(out / "rejects.jsonl")
    assert 0 < len(rows) < 150
    assert len(rows) + len(rejects) == 150
    for row in rows:
        task = tasks[row.id]
        assert row.messages[0].content == task.prompt
        assert is_correct(task, row.messages[-1].content)
    assert {row["reason"] for row in rejects} == {"no answer is right"}
    assert not any(is_correct(tasks[row["id"]], row["answer"]) for row in rejects)
    assert made.num_dialogues["train"] == len(rows)
    assert made.measures["kept_share"] == pytest.approx(len(rows) / 150)
    held_out = "validation.jsonl"
    assert (out / held_out).read_bytes() == (inputs.instructions.path / held_out).read_bytes()
    training = Hyperparameters(num_steps=2, batch_size=8, learning_rate=0.001)
    (tmp_path / "sft").mkdir()
    SFT(training=training).run(
        SFTInputs(model=inputs.teacher, instructions=made, shards=shards), tmp_path / "sft"
    )


def test_a_killed_run_samples_the_rest_and_ends_with_the_same_answers(
    inputs, tmp_path, monkeypatch
):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for out in (whole, halves):
        out.mkdir()
    asking().run(inputs, whole)
    sample, asked = TorchModel.sample, []

    def sample_and_die(self, prompts, *values):
        asked.append(len(prompts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return sample(self, prompts, *values)

    with monkeypatch.context() as patch:
        patch.setattr(TorchModel, "sample", sample_and_die)
        with pytest.raises(KeyboardInterrupt):
            asking().run(inputs, halves)
        asking().run(inputs, halves)
    assert asked == [192, 192, 66, 66]
    for name in ("train.jsonl", "rejects.jsonl", "card.json"):
        assert (halves / name).read_bytes() == (whole / name).read_bytes()


def said(text: str, is_ended: bool = True, is_plain: bool = True) -> Sample:
    return Sample(text, is_ended, is_plain)


QUESTION = Dialogue(
    id="mine/1",
    messages=(
        Message(role="user", content="Which sea is salty?"),
        Message(role="assistant", content="-"),
    ),
)


@pytest.mark.parametrize(
    ("samples", "answer", "reason"),
    [
        ([said("the dead sea"), said("a dog"), said("the dead sea is")], "the dead sea", ""),
        ([said("red"), said("green"), said("blue")], "red", "samples disagree"),
        ([said("the dead sea", is_ended=False)] * 3, "the dead sea", "does not end"),
        ([said("")] * 3, "", "is empty"),
        ([said("so", is_plain=False)] * 3, "so", "speaks for the user"),
        ([said("which sea is salty ?")] * 3, "which sea is salty ?", "repeats the question"),
        ([said("and the sea " * 5)] * 3, "and the sea " * 5, "repeats itself"),
        ([said("and on " * 9), said("the sea"), said("the sea")], "the sea", ""),
        ([], "", "cannot be asked"),
    ],
)
def test_of_free_text_the_answer_stays_that_agrees_with_the_others_if_any_is_fit(
    samples, answer, reason
):
    found = TeacherAnswers(min_agreement=0.3).judge(QUESTION, None, samples)
    assert (found.answer, found.reason) == (answer, reason)


def test_a_teacher_whose_answers_are_all_unfit_is_told_so_in_one_line(checkpoint, inputs, tmp_path):
    untaught = inputs.model_copy(update={"teacher": checkpoint})
    with pytest.raises(ValueError, match=r"No answer of the teacher to 5 .*no answer is right: 5"):
        asking(num_questions=5, max_new_tokens=4).run(untaught, tmp_path)


def test_a_question_that_leaves_no_room_for_its_answer_is_left_out(inputs, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    rows = [
        QUESTION,
        Dialogue(
            id="mine/2",
            messages=(Message(role="user", content="sea " * 300), QUESTION.messages[-1]),
        ),
    ]
    for name in ("train", "validation"):
        text = "".join(row.model_dump_json() + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    own = Instructions(path=folder, revision="1.dir")
    component = asking(min_agreement=0.0, max_new_tokens=48, temperature=0.3)
    made = component.run(inputs.model_copy(update={"instructions": own}), tmp_path)
    assert made.dropped["cannot be asked"] == 1
    assert made.num_dialogues == {"train": 1, "validation": 2}
