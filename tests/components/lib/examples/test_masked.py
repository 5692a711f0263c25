"""BERT's examples and losses: the published shares, pure functions, and what a model learns."""

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.masked import MaskedSentencePairs, PairTokens
from components.lib.ledger.chain import batch_hash
from components.lib.models.architectures import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.masked import MaskedPairObjective, evaluate_masked

END, PADDING, MASK, CLS = 0, 1, 2, 3
TOKENS = PairTokens(classify=CLS, separator=END, mask=MASK, padding=PADDING, vocab_size=400)
LENGTH = 43


@pytest.fixture
def folder(tmp_path):
    """Documents that count upwards: each says by its numbers who it is, and what follows what."""
    random = np.random.default_rng(0)
    stream = []
    for _ in range(300):
        first = int(random.integers(10, 200))
        stream += [*range(first, first + int(random.integers(20, 180))), END]
    np.save(tmp_path / "shard_00000.npy", np.array(stream, np.uint16))
    return tmp_path


def pairs(folder, seed=0, length=LENGTH, tokens=TOKENS):
    return MaskedSentencePairs(folder, length, tokens, seed)


def is_chance(counts, shares) -> bool:
    """Return whether counts are within four standard deviations of what is expected."""
    expected = shares * counts.sum()
    return bool((np.abs(counts - expected) < 4 * np.sqrt(expected * (1 - shares))).all())


def everything(examples):
    return examples.batch(np.arange(len(examples)))


def original(batch):
    """Return the ids before masking."""
    return np.where(batch.targets != IGNORED, batch.targets, batch.inputs)


def segments(batch):
    """Yield the text of A and B of each pair, and its label."""
    ids, types = original(batch), batch.extras["token_type_ids"]
    for row, kinds, label in zip(ids, types, batch.extras["next_sentence"], strict=True):
        ends = np.flatnonzero(row == END)
        assert row[0] == CLS
        assert len(ends) == 2
        assert (kinds == ((np.arange(len(row)) > ends[0]) & (np.arange(len(row)) <= ends[1]))).all()
        assert (row[ends[1] + 1 :] == PADDING).all()
        yield row[1 : ends[0]], row[ends[0] + 1 : ends[1]], label


def test_a_pair_is_framed_and_its_second_segment_follows_where_the_label_says_so(folder):
    """Within a document each number is one more than that before it."""
    follows, random = 0, 0
    for first, second, label in segments(everything(pairs(folder))):
        for segment in (first, second):
            assert (np.diff(segment) == 1).all()
        if label == 0:
            assert second[0] == first[-1] + 1
            follows += 1
        else:
            random += 1
    assert is_chance(np.array([follows, random]), np.array([0.5, 0.5]))


def test_a_random_second_segment_is_of_another_document(tmp_path):
    stream = [*range(10, 110), END, *range(200, 300), END]
    np.save(tmp_path / "shard_00000.npy", np.array(stream, np.uint16))
    examples = [pairs(tmp_path, seed) for seed in range(20)]
    labels = set()
    for example in examples:
        for first, second, label in segments(everything(example)):
            assert ((first[0] < 150) == (second[0] < 150)) == (label == 0)
            labels.add(int(label))
    assert labels == {0, 1}


def test_of_the_text_15_percent_is_hidden_and_of_that_80_10_10_as_published(folder):
    batch = everything(pairs(folder))
    is_target, ids = batch.targets != IGNORED, original(batch)
    is_text = ~np.isin(ids, [CLS, END, PADDING])
    assert not (is_target & ~is_text).any(), "a frame or padding is to be predicted"
    expected = np.maximum(1, np.rint(0.15 * is_text.sum(1)))
    assert (is_target.sum(1) == expected).all()
    masked = is_target & (batch.inputs == MASK)
    kept = is_target & (batch.inputs == ids)
    changed = is_target & ~masked & ~kept
    counts = [int(x.sum()) for x in (masked, changed, kept)]
    shares = np.array([0.8, 0.1 * 399 / 400, 0.1 + 0.1 / 400])
    assert is_chance(np.array(counts), shares)
    assert (batch.inputs[~is_target] == ids[~is_target]).all()
    tail = np.histogram(batch.inputs[changed], bins=8, range=(0, 400))[0]
    assert is_chance(tail, np.full(8, 1 / 8)), "random tokens are not drawn evenly"
    places = np.histogram(np.nonzero(is_target)[1], bins=4, range=(0, LENGTH))[0]
    assert places.min() > 0.7 * places.max(), "some places are hidden more often"


def test_an_example_is_the_same_in_every_batch_and_another_for_another_seed(folder):
    examples = pairs(folder)
    whole = everything(examples)
    some = pairs(folder).batch(np.array([7, 3, len(examples) - 1]))
    for row, index in enumerate([7, 3, len(examples) - 1]):
        assert (some.inputs[row] == whole.inputs[index]).all()
        assert (some.targets[row] == whole.targets[index]).all()
        for name, values in some.extras.items():
            assert (values[row] == whole.extras[name][index]).all()
    other = everything(pairs(folder, seed=1))
    differs = (whole.inputs != other.inputs).any(axis=1)
    assert differs.mean() > 0.95
    labels = whole.extras["next_sentence"] != other.extras["next_sentence"]
    assert 0.4 < labels.mean() < 0.6, "the labels of two seeds are related"


def build(width=48, layers=2):
    shape = Shape(
        architecture="bert",
        width=width,
        num_layers=layers,
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


def test_one_batch_of_32_gives_the_gradient_of_eight_of_4(folder, monkeypatch):
    from components.lib.objectives import masked

    monkeypatch.setattr(masked, "autocast", lambda: torch.autocast("cpu", enabled=False))
    model, objective, whole = build(), MaskedPairObjective(), pairs(folder).batch(np.arange(32))
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
    batch = everything(examples)
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


def test_all_of_a_pair_counts_as_seen_not_only_up_to_its_last_hidden_token(folder):
    batch = pairs(folder).batch(np.arange(4))
    assert batch.num_tokens() == int((batch.inputs != PADDING).sum())
    behind = Batch(batch.inputs.copy(), batch.targets, batch.extras, batch.lengths)
    (row, place) = 0, int(batch.lengths[0]) - 2
    behind.inputs[row, place] += 1
    assert batch_hash(behind) != batch_hash(batch)
