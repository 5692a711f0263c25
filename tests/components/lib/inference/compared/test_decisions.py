"""Decisions among choices: scored by the definition, margins against the original's choice."""

import numpy as np
import pytest
import torch

from components.lib.inference.compared.decisions import Item, decisions, scores
from components.lib.inference.torch_model import TorchModel
from tests.components.lib import toy

_ITEMS = [
    Item([1, 2, 3], ([4], [5, 6, 7], [8, 9])),
    Item([10, 11, 12, 13, 14], ([15, 16], [17, 18, 19, 20])),
] * 5  # more than are scored at once


def test_a_choice_is_scored_by_its_tokens_after_the_prompt() -> None:
    model = toy.model()
    found = scores(TorchModel(model), _ITEMS)
    assert [len(each) for each in found] == [3, 2] * 5
    for item, scored in zip(_ITEMS, found, strict=True):
        for choice, score in zip(item.choices, scored, strict=True):
            ids = torch.tensor([[*item.prompt, *choice]])
            with torch.no_grad():
                nats = model(input_ids=ids).logits[0].log_softmax(-1)
            places = range(len(item.prompt) - 1, ids.shape[1] - 1)
            expected = sum(float(nats[place, ids[0, place + 1]]) for place in places)
            assert score == pytest.approx(expected, rel=2e-2)  # bfloat16 where there is some


def test_margins_are_those_of_what_the_original_chooses() -> None:
    original = [np.array([-1.0, -3.0, -4.0]), np.array([-5.0, -2.0])]  # margins 2 and 3
    halved = [np.array([-1.0, -2.0, -9.0]), np.array([-3.5, -2.0])]  # 1 and 1.5
    assert decisions(original, halved) == (0.5, 0.0)
    turned = [np.array([-3.0, -2.0, -9.0]), np.array([-5.0, -2.0])]  # -1 and 3
    assert decisions(original, turned) == (pytest.approx(2 / 5), 0.5)
    assert decisions(original, original) == (1.0, 0.0)


def test_a_broken_model_keeps_no_margin() -> None:
    original, broken = [np.array([-1.0, -3.0])], [np.array([np.nan, -3.0])]
    assert decisions(original, broken).margin_kept == float("-inf")


def test_without_items_there_is_nothing_to_decide() -> None:
    with pytest.raises(ValueError, match="no item"):
        decisions([], [])
