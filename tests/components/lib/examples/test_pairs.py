"""Preference pairs as batches: whole, packed, and only those that can be learnt from."""

import json

import numpy as np
import pytest

from components.lib.examples.batches import IGNORED
from components.lib.examples.pairs import ANSWERS, COMPARISONS, PAIRS, PairExamples, read_pairs
from components.lib.models.folders import load_tokenizer
from components.lib.text.chat import render_prompt
from components.lib.text.dialogue import Comparison, Message


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    return load_tokenizer(vocabulary.path)


def written(folder, tokenizer, rows):
    lines = (
        json.dumps(
            {"prompt": render_prompt(tokenizer, prompt), "chosen": chosen, "rejected": rejected}
        )
        for prompt, chosen, rejected in rows
    )
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


ROWS = [(f"Sort {n} 2 1", f"1 2 {n}", "2 " * (n % 7 + 1)) for n in range(3, 43)]


def test_every_token_that_bears_loss_is_an_answers_and_reads_back_as_it(tmp_path, tokenizer):
    found = read_pairs(written(tmp_path, tokenizer, ROWS), tokenizer, 256)
    batch = PairExamples(found.pairs, tokenizer, 128).batch(np.arange(40))
    assert len(batch) < 40, "pairs share sequences"
    read_back = {}
    for row, pairs in enumerate(batch.extras[PAIRS]):
        for slot, line in enumerate(pairs.tolist()):
            for side in (1, 2) if line >= 0 else ():
                own = batch.extras[ANSWERS][row] == 2 * slot + side
                targets = batch.targets[row][own & (batch.targets[row] != IGNORED)]
                read_back[line, side] = tokenizer.decode(targets)
    assert read_back == {
        (line, side): f"{row[side]}<|endoftext|>"
        for line, row in enumerate(ROWS)
        for side in (1, 2)
    }


def test_a_pair_that_teaches_nothing_is_left_out_with_its_reason(tmp_path, tokenizer):
    rows = [
        ("a", "yes", "no"),
        ("b", "same", "same"),
        ("c", "", "no"),
        ("d", "yes", "  "),
        ("e", "yes", "word " * 300),
        ("f " * 300, "yes", "no"),
    ]
    found = read_pairs(written(tmp_path, tokenizer, rows), tokenizer, 64)
    assert [pair.line for pair in found.pairs] == [0]
    assert found.reasons() == {
        "both answers are the same": 1,
        "an answer is empty": 2,
        "longer than 64 tokens": 2,
    }


def test_a_file_without_a_pair_to_learn_from_is_refused_with_the_reasons(tmp_path, tokenizer):
    rows = [("a", "same", "same"), ("b", "", "no")]
    with pytest.raises(ValueError, match=r"None of the 2 pairs .*same: 1, an answer is empty: 1"):
        read_pairs(written(tmp_path, tokenizer, rows), tokenizer, 64)


def test_an_answer_that_looks_like_the_end_of_a_turn_does_not_end_it(tmp_path, tokenizer):
    rows = [("a", "one <|endoftext|> two", "no")]
    (pair,) = read_pairs(written(tmp_path, tokenizer, rows), tokenizer, 64).pairs
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert pair.chosen.targets.tolist().count(end) == 1


def test_all_pairs_of_a_prompt_are_on_one_side(tmp_path, tokenizer):
    rows = [(f"prompt {n // 4}", "yes", f"no {n}") for n in range(400)]
    found = read_pairs(written(tmp_path, tokenizer, rows), tokenizer, 64)
    trained, held_out = found.sides(0.2)
    assert len(trained) + len(held_out) == 400
    assert 40 < len(held_out) < 120
    assert not {pair.prompt for pair in trained} & {pair.prompt for pair in held_out}
    assert found.sides(0.0) == (found.pairs, [])


def compared(folder, *rows: Comparison):
    lines = (row.model_dump_json() + "\n" for row in rows)
    (folder / COMPARISONS).write_text("".join(lines), encoding="utf-8")
    return folder


def said(*texts: str) -> tuple[Message, ...]:
    roles = ("user", "assistant") * len(texts)
    return tuple(Message(role=role, content=text) for role, text in zip(roles, texts, strict=False))


def test_of_a_dialogue_that_is_compared_the_last_answer_alone_is_learnt(tmp_path, tokenizer):
    row = Comparison(
        id="mine/1", prompt=said("Hello", "Good day", "Bye"), chosen="Farewell", rejected="No"
    )
    (pair,) = read_pairs(compared(tmp_path, row), tokenizer, 256).pairs
    for stretch, answer in ((pair.chosen, "Farewell"), (pair.rejected, "No")):
        learnt = stretch.targets[stretch.targets != IGNORED]
        assert tokenizer.decode(learnt) == f"{answer}<|endoftext|>"
        before = stretch.inputs[: len(stretch.inputs) + 1 - len(learnt)]
        assert tokenizer.decode(before) == (
            "<|user|>Hello<|assistant|>Good day<|endoftext|><|user|>Bye<|assistant|>"
        )


def test_a_comparison_that_the_template_refuses_is_left_out_and_counted(tmp_path, vocabulary):
    tokenizer = load_tokenizer(vocabulary.path)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + str(tokenizer.chat_template)
    )
    plain = Comparison(id="mine/1", prompt=said("Hello"), chosen="Good day", rejected="No")
    system = Message(role="system", content="Be brief")
    refused = plain.model_copy(update={"id": "mine/2", "prompt": (system, *plain.prompt)})
    same = plain.model_copy(update={"id": "mine/3", "rejected": "Good day"})
    found = read_pairs(compared(tmp_path, refused, plain, same), tokenizer, 256)
    assert [pair.line for pair in found.pairs] == [1]
    assert found.left_out == {
        0: "the template does not render it",
        2: "both answers are the same",
    }
