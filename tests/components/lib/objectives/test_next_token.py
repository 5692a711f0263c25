"""Next-token training: its loss by the formula, its examples, and what it is judged by."""

import numpy as np
import pytest
import torch
from torch import nn

from components.lib.examples.batches import IGNORED
from components.lib.examples.packed import sequences_of
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.mixture import MixtureNextToken
from components.lib.objectives.next_token import NextToken
from components.lib.objectives.objective import LossOptions, PretrainingText


@pytest.mark.parametrize("objective", [NextToken, MixtureNextToken])
def test_the_terms_are_those_of_the_formulas_with_the_weights_of_the_recipe(objective):
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 5, 7), torch.randint(0, 7, (2, 5))
    targets[0, :3] = IGNORED
    asked = objective.asked(LossOptions(z_loss=0.5, label_smoothing=0.1))
    terms = asked.terms(logits, targets)
    cross_entropy = z = 0.0
    for row, target in zip(logits.flatten(0, 1), targets.flatten().tolist(), strict=True):
        if target == IGNORED:
            continue
        nats = row.logsumexp(0) - row
        cross_entropy += float(0.9 * nats[target] + 0.1 * nats.mean())
        z += float(row.logsumexp(0)) ** 2
    assert terms["cross_entropy"].item() == pytest.approx(cross_entropy, rel=1e-5)
    assert terms["z_loss"].item() == pytest.approx(0.5 * z, rel=1e-5)


@pytest.mark.parametrize(("packing", "masked"), [("stream", False), ("best_fit", True)])
def test_it_reads_as_the_recipe_packs_and_is_judged_on_the_plain_stream(
    shards, vocabulary, packing, masked
):
    objective = NextToken.asked(LossOptions())
    text = PretrainingText(shards, vocabulary.path, 32, packing, masked, seed=0, num_held_out=4)
    expected = sequences_of(shards.path / "train", 32, packing, masked).batch(np.arange(4))
    found = objective.examples(text, "train").batch(np.arange(4))
    assert (found.inputs == expected.inputs).all()
    assert (found.targets == expected.targets).all()
    assert objective.predicted == 1.0
    shape = Shape(width=32, num_heads=2, num_key_value_heads=1, max_length=64)
    model = build_model(shape, vocabulary.vocab_size, SpecialIds(0, 1), seed=0).eval()
    judge, held_out = objective.evaluation(model, text), HeldOut(shards, "validation", 32, 4)
    before = judge()["validation_bits_per_byte"]
    assert before == pytest.approx(held_out.bits_per_byte(TorchModel(model)))
    nn.init.normal_(model.get_input_embeddings().weight)
    assert judge()["validation_bits_per_byte"] > 1.1 * before, "it judges the model as it was"
