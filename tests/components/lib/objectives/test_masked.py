"""BERT's losses are transformers' own, however a batch is cut, and so is what it is judged by."""

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED
from components.lib.examples.masked import MASKED_SHARE, MaskedSentencePairs, PairTokens
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import load_tokenizer
from components.lib.models.shape import Shape
from components.lib.objectives.masked import MaskedPairObjective, evaluate_masked
from components.lib.objectives.objective import LossOptions, PretrainingText

END, PADDING, MASK, CLS = 0, 1, 2, 3


@pytest.fixture
def folder(tmp_path):
    """Documents that count upwards."""
    random = np.random.default_rng(0)
    stream = []
    for _ in range(300):
        first = int(random.integers(10, 200))
        stream += [*range(first, first + int(random.integers(20, 180))), END]
    np.save(tmp_path / "shard_00000.npy", np.array(stream, np.uint16))
    return tmp_path


def pairs(folder):
    tokens = PairTokens(classify=CLS, separator=END, mask=MASK, padding=PADDING, vocab_size=400)
    return MaskedSentencePairs(folder, 43, tokens, seed=0)


def build():
    shape = Shape(
        architecture="bert",
        width=48,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=2,
        max_length=64,
    )
    return build_model(shape, 400, SpecialIds(END, PADDING), seed=0)


def test_the_losses_are_transformers_own(folder):
    model, batch = build().eval(), pairs(folder).batch(np.arange(16))
    assert (batch.inputs == PADDING).any(), "no padding to mask"
    objective = MaskedPairObjective()
    with torch.no_grad():
        terms = objective(model, batch)
        expected = model(
            input_ids=torch.from_numpy(batch.inputs),
            attention_mask=torch.from_numpy((batch.inputs != PADDING).astype(np.int64)),
            token_type_ids=torch.from_numpy(batch.extras["token_type_ids"]),
            labels=torch.from_numpy(batch.targets),
            next_sentence_label=torch.from_numpy(batch.extras["next_sentence"]),
        ).loss
    counts = objective.count(batch)
    loss = sum(float(value) / counts[name] for name, value in terms.items())
    assert loss == pytest.approx(float(expected), rel=1e-2)  # bfloat16 where there is any


def test_one_batch_of_32_gives_the_gradient_of_eight_of_4(folder):
    model = build().double()  # autocast leaves doubles alone, so bfloat16 rounds nothing here
    objective, whole = MaskedPairObjective(), pairs(folder).batch(np.arange(32))
    counts, found = objective.count(whole), []
    for size in (32, 4):
        model.zero_grad()
        for start in range(0, 32, size):
            terms = objective(model, whole.rows(slice(start, start + size)))
            sum(value / counts[name] for name, value in terms.items()).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-5


def test_the_evaluation_is_the_share_and_the_mean_over_all_that_was_asked(folder):
    model, examples = build().eval(), pairs(folder)
    batch = examples.batch(np.arange(len(examples)))
    found = evaluate_masked(model, examples, len(examples))
    with torch.no_grad():
        output = model(
            input_ids=torch.from_numpy(batch.inputs),
            attention_mask=torch.from_numpy((batch.inputs != PADDING).astype(np.int64)),
            token_type_ids=torch.from_numpy(batch.extras["token_type_ids"]),
        )
    is_target = torch.from_numpy(batch.targets != IGNORED)
    logits, targets = (
        output.prediction_logits[is_target],
        torch.from_numpy(batch.targets)[is_target],
    )
    nats = -logits.log_softmax(-1)[torch.arange(len(targets)), targets].mean()
    assert found["validation_masked_loss"] == pytest.approx(float(nats), rel=1e-2)
    labels = torch.from_numpy(batch.extras["next_sentence"])
    told = (output.seq_relationship_logits.argmax(-1) == labels).float().mean()
    assert found["validation_next_sentence_accuracy"] == pytest.approx(float(told), abs=0.05)
    right = (logits.argmax(-1) == targets).float().mean()
    assert found["validation_masked_accuracy"] == pytest.approx(float(right), abs=0.02)
    few = evaluate_masked(model, examples, 5)
    assert few.keys() == found.keys()
    assert few != found


def test_its_examples_and_its_judgement_are_pairs_of_the_recipes_seed(shards, vocabulary):
    objective = MaskedPairObjective.asked(LossOptions())
    text = PretrainingText(shards, vocabulary.path, 32, "stream", False, seed=3, num_held_out=8)
    tokens = PairTokens.of(load_tokenizer(vocabulary.path))
    expected = MaskedSentencePairs(shards.path / "train", 32, tokens, seed=3)
    chosen = np.arange(4)
    found = objective.examples(text, "train").batch(chosen)
    assert (found.inputs == expected.batch(chosen).inputs).all()
    share = np.mean(found.targets != IGNORED)
    assert objective.predicted == MASKED_SHARE == pytest.approx(share, abs=0.05)
    shape = Shape(architecture="bert", width=32, num_heads=2, num_key_value_heads=2)
    model = build_model(shape, vocabulary.vocab_size, SpecialIds(0, 1), seed=0).eval()
    held_out = MaskedSentencePairs(shards.path / "validation", 32, tokens, seed=3)
    assert objective.evaluation(model, text)() == evaluate_masked(model, held_out, 8)
