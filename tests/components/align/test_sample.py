"""Preference pairs: the checker decides, and each pair holds one right and one wrong answer."""

import json
from collections import Counter

import pytest

from components.align.sample import SampleInputs, SamplePreferences
from components.lib.models.folders import load_tokenizer
from components.lib.tasks.microtasks import is_correct, read_microtasks
from components.lib.text.chat import render_prompt


@pytest.fixture(scope="module")
def rows(pairs):
    return [json.loads(line) for line in (pairs.path / "pairs.jsonl").open(encoding="utf-8")]


def test_every_pair_has_a_right_answer_chosen_and_a_wrong_one_rejected(
    pairs, rows, preferences, instruct
):
    tokenizer = load_tokenizer(instruct.path)
    tasks = read_microtasks(preferences.path / "prompts.jsonl")
    by_prompt = {render_prompt(tokenizer, task.prompt): task for task in tasks}
    assert len(rows) == pairs.num_pairs > 5
    for row in rows:
        task = by_prompt[row["prompt"]]
        assert is_correct(task, row["chosen"])
        assert not is_correct(task, row["rejected"])


def test_no_prompt_gives_more_pairs_than_allowed_or_the_same_one_twice(rows):
    assert max(Counter(row["prompt"] for row in rows).values()) <= 2
    assert len({tuple(sorted(row.items())) for row in rows}) == len(rows)


def test_the_accuracy_is_a_share_of_all_samples(pairs):
    assert 0 < pairs.sampled_accuracy < 1
    assert (pairs.sampled_accuracy * 48 * 4).is_integer()


def test_the_same_seed_gives_the_same_file_and_another_one_does_not(
    pairs, instruct, preferences, tmp_path
):
    inputs = SampleInputs(model=instruct, preferences=preferences)
    same = SamplePreferences(num_prompts=48, num_samples=4).run(inputs, tmp_path)
    assert (tmp_path / "pairs.jsonl").read_bytes() == (pairs.path / "pairs.jsonl").read_bytes()
    assert same.sampled_accuracy == pairs.sampled_accuracy
    SamplePreferences(num_prompts=48, num_samples=4, seed=1).run(inputs, tmp_path)
    assert (tmp_path / "pairs.jsonl").read_bytes() != (pairs.path / "pairs.jsonl").read_bytes()


def test_no_prompt_that_is_aligned_on_is_trained_or_tested_on(rows, data, instruct):
    tokenizer = load_tokenizer(instruct.path)
    for split in ("train", "validation", "test"):
        tasks = read_microtasks(data / "instructions" / f"{split}.jsonl")
        prompts = {render_prompt(tokenizer, task.prompt) for task in tasks}
        assert not prompts & {row["prompt"] for row in rows}


def test_a_model_that_is_never_right_is_an_error_with_the_numbers(
    checkpoint, preferences, tmp_path
):
    """The base model has never seen an answer end."""
    component = SamplePreferences(num_prompts=6, num_samples=2)
    with pytest.raises(ValueError, match=r"gave no pair: 0 of 12 answers were right.*fine-tune"):
        component.run(SampleInputs(model=checkpoint, preferences=preferences), tmp_path)
