"""Answers that given numbers draw: from the model's own shares, whatever the batch."""

import numpy as np
import pytest
import torch

from components.lib.inference.writing import WritingOptions, uniform, write
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape

V, END = 24, 3
OPTIONS = WritingOptions(max_new_tokens=6, temperature=1.3, end_ids=frozenset([END]), padding=1)
PROMPTS = [[5, 6, 7, 8], [9], [10, 11], [5, 6, 7, 8]]


@pytest.fixture
def model():
    shape = Shape(width=32, num_layers=2, num_heads=2, num_key_value_heads=1, max_length=32)
    made = build_model(shape, V, SpecialIds(END, 1), seed=0).double()
    made.set_attn_implementation("sdpa")  # the plain one is wrong in doubles before padding
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return made.train()


@torch.no_grad()
def by_hand(model, prompt: list[int], numbers: np.ndarray) -> list[int]:
    """Read the whole text anew for each token."""
    ids: list[int] = []
    for number in numbers.tolist():
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0, -1].double()
        sums = (logits / OPTIONS.temperature).softmax(0).cumsum(0).tolist()
        ids.append(next(token for token, total in enumerate(sums) if number < total))
        if ids[-1] == END:
            break
    return ids


def test_each_token_is_the_one_in_whose_share_its_number_falls_and_the_batch_does_not_matter(model):
    numbers = uniform(np.array([3, 1, 4, 15]), 6, seed=9)
    together = write(model, PROMPTS, numbers, OPTIONS)
    assert model.training
    assert together == [by_hand(model, p, row) for p, row in zip(PROMPTS, numbers, strict=True)]
    alone = [write(model, [p], numbers[i : i + 1], OPTIONS)[0] for i, p in enumerate(PROMPTS)]
    assert together == alone
    assert together[0] != together[3], "one question, other numbers"


def test_an_end_belongs_to_the_answer_and_a_long_one_has_none(model):
    numbers = uniform(np.arange(60), 6, seed=0)
    answers = write(model, [[7, 8]] * 60, numbers, OPTIONS)
    ended = [answer for answer in answers if END in answer]
    assert 0 < len(ended) < 60
    assert all(answer.index(END) == len(answer) - 1 for answer in ended)
    assert all(len(answer) == 6 for answer in answers if END not in answer)


def test_the_numbers_are_even_and_those_of_two_keys_or_seeds_have_nothing_in_common():
    numbers = uniform(np.arange(2000), 50, seed=1)
    assert 0 <= numbers.min() < numbers.max() < 1
    assert np.histogram(numbers, 10, (0, 1))[0] == pytest.approx([10_000] * 10, rel=0.05)
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.02
    assert len(np.unique(np.concatenate([numbers, uniform(np.arange(2000), 50, 2)]))) == 200_000
