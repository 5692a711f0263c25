"""DPO by TRL: it raises the margin of what was chosen, as we compute it ourselves."""

import json
import os
from pathlib import Path

import pytest
import torch

from components.align.dpo import DPO, DPOInputs
from components.lib.models.folders import load_model, load_tokenizer

TRAINING = {"learning_rate": 2e-3, "batch_size": 8, "num_epochs": 12}


@pytest.fixture(scope="module")
def aligned(instruct, pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("dpo")
    return DPO(**TRAINING).run(DPOInputs(model=instruct, pairs=pairs), out)


@torch.no_grad()
def log_probability(model, tokenizer, prompt: str, answer: str) -> float:
    """Return ln p(answer, end of text | prompt), by the definition."""
    before = tokenizer.encode(prompt, add_special_tokens=False)
    after = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
    logits = model(input_ids=torch.tensor([before + after])).logits[0].log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    return sum(float(logits[place, token]) for place, token in zip(places, after, strict=True))


def margins(folder: Path, rows: list[dict[str, str]]) -> list[float]:
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    return [
        log_probability(model, tokenizer, row["prompt"], row["chosen"])
        - log_probability(model, tokenizer, row["prompt"], row["rejected"])
        for row in rows
    ]


@pytest.fixture(scope="module")
def rows(pairs):
    return [json.loads(line) for line in (pairs.path / "pairs.jsonl").open(encoding="utf-8")]


def test_the_margin_of_the_chosen_answers_rises(instruct, aligned, rows):
    before, after = margins(instruct.path, rows), margins(aligned.path, rows)
    raised = [new > old for new, old in zip(after, before, strict=True)]
    assert sum(raised) > 0.8 * len(rows)
    assert sum(after) / len(rows) > sum(before) / len(rows) + 2


def test_what_trl_logs_is_the_loss_of_the_paper(aligned, read_spool):
    """At the first step policy and reference are one, so the loss is ln 2; then it falls."""
    losses = [point["loss"] for _, point in read_spool(aligned.path) if "loss" in point]
    assert losses[-1] < losses[0] < 0.70
    steps = [step for step, _ in read_spool(aligned.path)]
    assert steps == sorted(steps)


def test_the_pull_to_the_reference_holds_the_model_back(instruct, pairs, aligned, rows, tmp_path):
    """A larger beta stays nearer; if it were not passed on, both models would be the same."""

    @torch.no_grad()
    def moved(folder: Path) -> float:
        old, new = load_model(instruct.path), load_model(folder)
        pairs_of = zip(old.parameters(), new.parameters(), strict=True)
        return sum(float(((a - b) ** 2).sum()) for a, b in pairs_of)

    held = DPO(**TRAINING, beta=5.0).run(DPOInputs(model=instruct, pairs=pairs), tmp_path)
    assert moved(held.path) != moved(aligned.path)
    assert sum(margins(held.path, rows)) < sum(margins(aligned.path, rows))


def test_the_model_stands_on_its_own_and_the_one_before_is_left_as_it_was(aligned, instruct):
    assert aligned.num_parameters == instruct.num_parameters
    assert aligned.bytes_on_disk == instruct.bytes_on_disk
    assert load_tokenizer(aligned.path).chat_template == load_tokenizer(instruct.path).chat_template
    weights = {folder: load_model(folder) for folder in (aligned.path, instruct.path)}
    same = [
        torch.equal(a, b) for a, b in zip(*(m.parameters() for m in weights.values()), strict=True)
    ]
    assert not all(same)


def test_it_leaves_nothing_outside_its_own_folder(instruct, pairs, tmp_path, monkeypatch):
    """A cache of data sets elsewhere is state that no fingerprint knows of."""
    cache = Path(os.environ["HF_HOME"])
    before = {str(path) for path in cache.rglob("*")}
    (tmp_path / "pairs").mkdir()
    lines = (pairs.path / "pairs.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "pairs" / "pairs.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
    few = pairs.model_copy(update={"path": tmp_path / "pairs"})
    (tmp_path / "out").mkdir()
    DPO(batch_size=2).run(DPOInputs(model=instruct, pairs=few), tmp_path / "out")
    assert {str(path) for path in cache.rglob("*")} == before
    assert [path.name for path in (tmp_path / "pairs").iterdir()] == ["pairs.jsonl"]
