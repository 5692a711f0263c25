"""DPO: it raises the margin of what was chosen, resumes exactly, and says what it left out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from components.align.dpo import DPO, DPOInputs
from components.align.reference import Reference, ReferenceInputs
from components.lib.ledger.chain import read
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.training.hyperparameters import EpochHyperparameters
from tests.components.interrupted import leave

TRAINING = EpochHyperparameters(
    learning_rate=2e-3, batch_size=8, num_epochs=12, log_every=1, checkpoint_every=5
)


def scored(instruct, pairs, out: Path) -> DPOInputs:
    """Return what DPO reads: the model, the pairs, and what the model thinks of them."""
    out.mkdir(exist_ok=True)
    reference = Reference().run(ReferenceInputs(model=instruct, pairs=pairs), out)
    return DPOInputs(model=instruct, pairs=pairs, reference=reference)


@pytest.fixture(scope="module")
def inputs(instruct, pairs, tmp_path_factory):
    return scored(instruct, pairs, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def aligned(inputs, tmp_path_factory):
    return DPO(training=TRAINING).run(inputs, tmp_path_factory.mktemp("dpo"))


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


def test_the_loss_begins_at_ln_2_and_falls(aligned, read_spool):
    """At the first step policy and reference are one, and every pair's loss is ln 2."""
    points = read_spool(aligned.path)
    losses = [point["loss"] for _, point in points if "loss" in point]
    assert losses[0] == pytest.approx(np.log(2), abs=1e-2), "beyond bfloat16"
    assert np.mean(losses[-5:]) < losses[0] - 0.05
    steps = [step for step, _ in points]
    assert steps == sorted(steps)


def test_pairs_in_are_pairs_trained_held_out_and_left_out(aligned, pairs, read_spool):
    ((step, counts),) = [point for point in read_spool(aligned.path) if "pairs_trained" in point[1]]
    assert step == 0
    assert sum(counts.values()) == pairs.num_pairs
    assert counts["pairs_held_out"] > 0


def test_told_to_leave_it_goes_on_to_the_same_weights(inputs, aligned, tmp_path):
    """SIGTERM comes while a step draws its pairs; the next call resumes from what was saved."""
    done = leave(DPO(training=TRAINING), inputs, tmp_path, after=5)
    assert 0 < done < len(read(aligned.path)), "it was to be stopped half-way"
    resumed = DPO(training=TRAINING).run(inputs, tmp_path)
    names = ("model.safetensors", "ledger.jsonl")
    assert all((resumed.path / n).read_bytes() == (aligned.path / n).read_bytes() for n in names)


def test_pairs_that_teach_nothing_are_counted_and_change_nothing(inputs, instruct, pairs, tmp_path):
    few = tmp_path / "pairs"
    few.mkdir()
    lines = (pairs.path / "pairs.jsonl").read_text("utf-8").splitlines(keepends=True)[:8]
    useless = json.loads(lines[0]) | {"chosen": "same", "rejected": "same"}
    text = "".join([*lines, json.dumps(useless) + "\n"])
    (few / "pairs.jsonl").write_text(text, encoding="utf-8")
    with_useless = pairs.model_copy(update={"path": few, "num_pairs": 9})
    made = scored(instruct, with_useless, tmp_path / "reference")
    (tmp_path / "out").mkdir()
    DPO(training=EpochHyperparameters(batch_size=4), held_out_share=0).run(made, tmp_path / "out")
    metrics = (tmp_path / "out" / "metrics.jsonl").read_text("utf-8")
    assert '"pairs_trained": 8, "pairs_held_out": 0, "pairs_left_out": 1' in metrics
    assert np.isnan(np.load(tmp_path / "reference" / "scores.npy")[8]).all()


def test_simpo_has_no_reference_and_others_are_refused_without_one(instruct, pairs, rows, tmp_path):
    alone = DPOInputs(model=instruct, pairs=pairs, reference=None)
    with pytest.raises(ValueError, match="'sigmoid' needs the scores of a reference"):
        DPO().run(alone, tmp_path)
    simpo = DPO(loss_type="simpo", beta=2.0, margin=0.5, training=TRAINING)
    made = simpo.run(alone, tmp_path)
    before, after = margins(instruct.path, rows), margins(made.path, rows)
    assert sum(after) > sum(before)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"margin": 0.5}, "margin=0.5 is for loss_type='simpo', not 'sigmoid'"),
        ({"loss_type": "ipo", "label_smoothing": 0.1}, "label_smoothing=0.1 is for losses"),
    ],
)
def test_an_option_of_another_loss_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        DPO(**fields)


def test_the_pull_to_the_reference_holds_the_model_back(instruct, inputs, aligned, rows, tmp_path):
    """A larger beta stays nearer; if it were not passed on, both models would be the same."""

    @torch.no_grad()
    def moved(folder: Path) -> float:
        old, new = load_model(instruct.path), load_model(folder)
        pairs_of = zip(old.parameters(), new.parameters(), strict=True)
        return sum(float(((a - b) ** 2).sum()) for a, b in pairs_of)

    held = DPO(training=TRAINING, beta=5.0).run(inputs, tmp_path)
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
