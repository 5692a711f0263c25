"""A mixture of experts costs a token what the dense model costs it."""

from typing import Any

import pytest

from components.lib.models.architectures.llama import Llama
from components.lib.models.architectures.moe import MixtureOfExperts
from components.lib.models.shape import Shape


def mixture(**changes: Any) -> Shape:
    return Shape(architecture="moe", width=128, **changes)  # 384 in the dense model


@pytest.mark.parametrize(("experts_per_token", "width"), [(1, 384), (2, 192), (4, 128), (8, 64)])
def test_the_width_of_an_expert_is_its_share_of_the_dense_one_to_the_nearest_64(
    experts_per_token: int, width: int
) -> None:
    shape = mixture(num_experts_per_token=experts_per_token)
    assert Llama().feed_forward_width(shape) == 384
    assert MixtureOfExperts().feed_forward_width(shape) == width


def test_a_token_cannot_have_more_experts_than_there_are() -> None:
    assert not list(MixtureOfExperts().problems(mixture(num_experts=4, num_experts_per_token=4)))
    (problem,) = MixtureOfExperts().problems(mixture(num_experts=4, num_experts_per_token=5))
    assert problem.startswith("num_experts_per_token=5 is more than num_experts=4: lower the one")
