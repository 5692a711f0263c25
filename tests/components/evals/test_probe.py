"""The probe: the numbers in the report are those of its items, and of nothing else."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.artifacts.reports import HeldOutText
from components.evals.probe import Probe, ProbeInputs, open_model
from components.lib.examples.dialogues import Dialogues
from components.lib.inference.held_out import HeldOut
from components.lib.models.folders import load_model, load_tokenizer, save_model
from components.lib.objectives.next_token import NextToken
from components.lib.tasks.microtasks import is_correct, read_microtasks, take_evenly
from components.lib.training.fit import TrainSpec, fit
from components.lib.training.hyperparameters import Hyperparameters

PROBE = Probe(num_instructions=48, num_resamples=500)
HELD_OUT = HeldOutText(sequence_length=32, num_sequences=20)


@pytest.fixture(scope="module")
def found(instruct, shards, evaluation, tmp_path_factory):
    """The report on the tiny model, as returned and as written."""
    out = tmp_path_factory.mktemp("probe")
    report = PROBE.run(
        ProbeInputs(model=instruct, shards=shards, evaluation=evaluation, held_out=HELD_OUT), out
    )
    return report, json.loads((out / "report.json").read_text("utf-8"))


def test_the_accuracy_is_the_share_of_items_whose_answer_the_checker_accepts(found, evaluation):
    report, written = found
    tasks = {t.id: t for t in read_microtasks(evaluation.path / "test.jsonl")}
    items = written["items"]
    assert len(items) == len({item["id"] for item in items}) == 48
    for item in items:
        task = tasks[item["id"]]
        assert (item["prompt"], item["answer"]) == (task.prompt, task.answer)
        assert item["right"] == is_correct(task, item["given"])
    right = [item["right"] for item in items]
    assert report.accuracy == pytest.approx(sum(right) / 48)
    assert 0 < report.accuracy < 1, "a model that knows all or nothing shows little"
    assert report.accuracy_by_task == {"count": pytest.approx(report.accuracy)}


def test_the_interval_holds_the_mean_and_is_about_as_wide_as_the_normal_one(found):
    report, _ = found
    low, high = report.accuracy_interval.low, report.accuracy_interval.high
    assert low < report.accuracy < high
    p = report.accuracy
    normal = 2 * 1.96 * (p * (1 - p) / 48) ** 0.5
    assert high - low == pytest.approx(normal, rel=0.25)


def test_the_bits_per_byte_are_those_of_the_held_out_text(found, instruct, shards):
    report, written = found
    model = open_model(instruct)
    expected = HeldOut(shards, "test", 32, 20).bits_per_byte(model)
    assert report.bits_per_byte == pytest.approx(expected)
    assert report.model == instruct.fingerprint
    assert written["bits_per_byte"] == report.bits_per_byte
    assert all(len(text) > 0 for text in written["completions"])


def test_the_same_model_gives_the_same_report(found, instruct, shards, evaluation, tmp_path):
    again = PROBE.run(
        ProbeInputs(model=instruct, shards=shards, evaluation=evaluation, held_out=HELD_OUT),
        tmp_path,
    )
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == found[1]
    assert again.accuracy_interval == found[0].accuracy_interval


def test_a_model_that_learned_the_test_by_heart_gets_all_of_it(
    checkpoint, shards, evaluation, tmp_path
):
    """An upper anchor: if nothing can score 1.0, the template or the checker is wrong."""
    tokenizer, model = load_tokenizer(checkpoint.path), load_model(checkpoint.path)
    tasks = take_evenly(read_microtasks(evaluation.path / "test.jsonl"), 6)
    training = Hyperparameters(num_steps=100, batch_size=6, learning_rate=0.01, evaluate_every=1000)
    task = TrainSpec(
        Dialogues(tokenizer, [task.dialogue() for task in tasks], 64), NextToken(), dict, 1.0
    )
    fit(model, task, training, tmp_path)
    save_model(model, checkpoint.path, tmp_path / "oracle")
    oracle = checkpoint.model_copy(update={"path": tmp_path / "oracle"})
    probe = PROBE.model_copy(update={"num_instructions": 6})
    report = probe.run(
        ProbeInputs(model=oracle, shards=shards, evaluation=evaluation, held_out=HELD_OUT), tmp_path
    )
    assert report.accuracy == 1.0
    assert (report.accuracy_interval.low, report.accuracy_interval.high) == (1.0, 1.0)


@given(right=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60))
def test_an_interval_holds_the_mean_whatever_the_outcomes(right):
    interval = PROBE._interval(np.array(right))
    assert 0 <= interval.low <= np.mean(right) <= interval.high <= 1


def test_held_out_dialogues_and_other_texts_are_measured_where_they_are_asked_for(
    found, instruct, instructions, shards, evaluation, tmp_path
):
    assert found[0].answer_nats is None
    assert found[0].texts == {}
    folder = tmp_path / "evaluation"
    (folder / "quiz").mkdir(parents=True)
    (folder / "test.jsonl").symlink_to(evaluation.path / "test.jsonl")
    row = json.dumps({"id": "quiz/1", "text": "The state of the Union is strong. " * 20})
    (folder / "quiz" / "documents.jsonl").write_text(row + "\n", encoding="utf-8")
    sets = evaluation.model_copy(update={"path": folder, "names": ("quiz",)})
    inputs = ProbeInputs(
        model=instruct,
        shards=shards,
        evaluation=sets,
        held_out=HELD_OUT,
        instructions=instructions,
    )
    (tmp_path / "out").mkdir()
    report = PROBE.model_copy(update={"texts": ("quiz",)}).run(inputs, tmp_path / "out")
    assert report.answer_nats is not None
    assert 0 < report.answer_nats < 3
    written = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    scores = written["text_scores"]["quiz"]
    assert report.texts == {"quiz": scores["bits_per_byte"]}
    assert scores["perplexity"] > 1
    missing = PROBE.model_copy(update={"texts": ("wiki",)})
    with pytest.raises(ValueError, match=r"names wiki, and the evaluation sets are quiz\. Add it"):
        missing.run(inputs, tmp_path / "out")
