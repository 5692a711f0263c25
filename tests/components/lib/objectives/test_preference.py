"""Preference losses: TRL's on the same batch, and those of each answer alone."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from components.lib.examples.batches import IGNORED
from components.lib.examples.pairs import PairExamples, read_pairs
from components.lib.group import Group
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.objectives.preference import (
    PREFERENCE_LOSSES,
    Preference,
    PreferenceOptions,
    Scores,
    log_probabilities,
)

NUM_PAIRS = 12
TRL = {"report_to": [], "bf16": False, "use_cpu": True, "remove_unused_columns": False}


@pytest.fixture(scope="module")
def rows(pairs):
    lines = (pairs.path / "pairs.jsonl").read_text("utf-8").splitlines()[:NUM_PAIRS]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tokenizer(instruct):
    return load_tokenizer(instruct.path)


@pytest.fixture(scope="module")
def batch(pairs, tokenizer):
    found = read_pairs(pairs.path, tokenizer, 256)
    return PairExamples(found.pairs, tokenizer, 128).batch(np.arange(NUM_PAIRS))


def in_doubles(checkpoint):
    """Return a model that autocast leaves alone, so that bfloat16 rounds nothing here."""
    return load_model(checkpoint.path).double()


@pytest.fixture(scope="module")
def policy(instruct):
    """A model that has moved away from its reference."""
    model = in_doubles(instruct)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def reference(instruct, batch):
    """ln p of the reference, by the line of the pair."""
    scores = torch.full((NUM_PAIRS, 2), torch.nan)
    with torch.no_grad():
        found, _ = log_probabilities(in_doubles(instruct), batch)
    lines = torch.from_numpy(batch.extras["pairs"]).flatten()
    scores[lines[lines >= 0]] = found[lines >= 0]
    return scores


def ours(policy, batch, reference, loss, options) -> float:
    with torch.no_grad():
        made = Preference(reference, loss, options)(policy, batch)["preference"]
    return float(made) / NUM_PAIRS


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "hinge", "sigmoid_norm"])
def test_the_loss_is_what_trl_computes_for_the_same_pairs(
    loss, policy, instruct, batch, reference, rows, tokenizer, tmp_path
):
    trainer = DPOTrainer(
        model=policy,
        ref_model=in_doubles(instruct),
        args=DPOConfig(
            output_dir=str(tmp_path),
            loss_type=[loss],
            beta=0.3,
            per_device_train_batch_size=NUM_PAIRS,
            max_length=256,
            gradient_checkpointing=False,
            **TRL,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    with torch.no_grad():
        theirs = float(trainer.compute_loss(policy, next(iter(trainer.get_train_dataloader()))))
    mine = ours(policy, batch, reference, loss, PreferenceOptions(beta=0.3))
    assert mine == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize(("loss", "smoothing"), [("simpo", 0.0), ("simpo", 0.1), ("sigmoid", 0.1)])
def test_without_a_reference_it_is_what_trl_computes(
    loss, smoothing, policy, batch, rows, tokenizer, tmp_path
):
    """CPO's sigmoid is DPO's with a reference that finds all equally likely.

    Its loss is given our log-probabilities.
    """
    trainer = CPOTrainer(
        model=policy,
        args=CPOConfig(
            output_dir=str(tmp_path),
            loss_type=loss,
            beta=2.0,
            simpo_gamma=0.5,
            label_smoothing=smoothing,
            gradient_checkpointing=False,
            **TRL,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    nothing = torch.zeros(NUM_PAIRS, 2)
    options = PreferenceOptions(beta=2.0, label_smoothing=smoothing, margin=0.5)
    with torch.no_grad():
        scores = Preference(nothing, loss, options).scores(policy, batch)
    lengths = (scores.chosen_tokens, scores.rejected_tokens) if loss == "simpo" else (1, 1)
    theirs, *_ = trainer.cpo_loss(scores.chosen / lengths[0], scores.rejected / lengths[1])
    mine = ours(policy, batch, nothing, loss, options)
    assert mine == pytest.approx(float(theirs.mean()), rel=1e-5)


def test_packed_answers_are_as_likely_as_each_alone(policy, batch):
    with torch.no_grad():
        packed, tokens = log_probabilities(policy, batch)
    lines = batch.extras["pairs"].flatten().tolist()
    found = {line: packed[slot] for slot, line in enumerate(lines) if line >= 0}
    alone = {}
    for row in range(len(batch)):
        places = batch.extras["position_ids"][row][: batch.lengths[row]]
        (starts,) = np.nonzero(places == 0)
        for start, end in zip(starts, [*starts[1:], len(places)], strict=True):
            ids = torch.from_numpy(batch.inputs[row : row + 1, start:end])
            targets = batch.targets[row, start:end]
            with torch.no_grad():
                log_p = policy(input_ids=ids).logits[0].log_softmax(-1)
            owner = int(batch.extras["answers"][row, start]) - 1
            line = int(batch.extras["pairs"][row, owner // 2])
            alone[line, owner % 2] = sum(
                float(log_p[place, target])
                for place, target in enumerate(targets)
                if target != IGNORED
            )
    assert len(alone) == 2 * NUM_PAIRS
    for (line, side), value in alone.items():
        assert float(found[line][side]) == pytest.approx(value, abs=1e-3)
    assert int(tokens.sum()) == batch.num_targets()


def test_a_model_that_hides_no_text_from_another_reads_each_by_itself(policy, batch):
    with torch.no_grad():
        packed, tokens = log_probabilities(policy, batch)
        each, same_tokens = log_probabilities(policy, batch, packs=False)
    assert torch.allclose(each, packed, atol=1e-3)
    assert torch.equal(tokens, same_tokens)


def test_a_policy_that_is_its_reference_loses_ln_2(instruct, batch, reference):
    model = in_doubles(instruct)
    assert ours(model, batch, reference, "sigmoid", PreferenceOptions()) == pytest.approx(
        np.log(2), abs=1e-5
    )


def test_a_batch_cut_into_sequences_has_the_loss_of_the_whole(policy, batch, reference):
    objective = Preference(reference, "sigmoid", PreferenceOptions())
    with torch.no_grad():
        whole = float(objective(policy, batch)["preference"])
        parts = [batch.rows(slice(row, row + 1)) for row in range(len(batch))]
        cut = sum(float(objective(policy, part)["preference"]) for part in parts)
    assert sum(objective.count(part)["preference"] for part in parts) == NUM_PAIRS
    assert cut == pytest.approx(whole, rel=1e-5)


def test_what_is_observed_is_the_share_ranked_right_and_the_rewards(policy, batch, reference):
    objective = Preference(reference, "sigmoid", PreferenceOptions(beta=0.5))
    with torch.no_grad():
        objective(policy, batch)
        scores = objective.scores(policy, batch)
    seen = objective.observed(Group.current())
    right = (scores.chosen > scores.rejected).float().mean()
    assert seen["preference_accuracy"] == pytest.approx(float(right))
    assert seen["reward_chosen"] == pytest.approx(0.5 * float(scores.chosen.mean()), rel=1e-5)
    assert seen["reward_margin"] == pytest.approx(seen["reward_chosen"] - seen["reward_rejected"])
    assert objective.observed(Group.current()) == {}


@pytest.mark.parametrize("loss", sorted(PREFERENCE_LOSSES))
def test_a_larger_margin_never_costs_more_until_it_is_enough(loss):
    """IPO alone has a target that can be overshot: 1 / (2 beta) a token."""
    margins = torch.linspace(-4, 4, 50)
    tokens = torch.ones(50)
    scores = Scores(margins, torch.zeros(50), tokens, tokens)
    made = PREFERENCE_LOSSES[loss](scores, PreferenceOptions(beta=0.125))
    assert (made.diff() <= 0).all()
