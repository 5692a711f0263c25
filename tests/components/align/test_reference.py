"""Reference: ln p of every answer, by the definition, once."""

import json

import numpy as np
import pytest
import torch

from components.align.reference import Reference, ReferenceInputs
from components.lib.models.folders import load_model, load_tokenizer


@torch.no_grad()
def log_probability(model, tokenizer, prompt: str, answer: str) -> float:
    """Return ln p(answer, end of text | prompt), by the definition."""
    before = tokenizer.encode(prompt, add_special_tokens=False)
    after = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
    logits = model(input_ids=torch.tensor([before + after])).logits[0].log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    return sum(float(logits[place, token]) for place, token in zip(places, after, strict=True))


def test_a_score_is_the_likelihood_of_the_answer_and_its_end(instruct, pairs, tmp_path):
    made = Reference().run(ReferenceInputs(model=instruct, pairs=pairs), tmp_path)
    assert made.num_pairs == pairs.num_pairs
    scores = np.load(tmp_path / "scores.npy")
    rows = [json.loads(line) for line in (pairs.path / "pairs.jsonl").open(encoding="utf-8")]
    assert scores.shape == (len(rows), 2)
    model, tokenizer = load_model(instruct.path), load_tokenizer(instruct.path)
    for row, (chosen, rejected) in zip(rows[:8], scores[:8], strict=True):
        for answer, score in ((row["chosen"], chosen), (row["rejected"], rejected)):
            expected = log_probability(model, tokenizer, row["prompt"], answer)
            assert score == pytest.approx(expected, rel=2e-2, abs=0.1), "beyond bfloat16"


def test_a_line_that_teaches_nothing_has_no_score(instruct, pairs, tmp_path):
    lines = (pairs.path / "pairs.jsonl").read_text("utf-8").splitlines(keepends=True)[:3]
    lines[1] = json.dumps(json.loads(lines[1]) | {"chosen": "same", "rejected": "same"}) + "\n"
    (tmp_path / "pairs.jsonl").write_text("".join(lines), encoding="utf-8")
    three = pairs.model_copy(update={"path": tmp_path, "num_pairs": 3})
    made = Reference().run(ReferenceInputs(model=instruct, pairs=three), tmp_path)
    assert made.num_pairs == 2
    scored = np.isfinite(np.load(tmp_path / "scores.npy")).all(axis=1)
    assert scored.tolist() == [True, False, True]
