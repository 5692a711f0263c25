"""Sizes that do not fit are refused all at once, and each remedy is right."""

import re
from typing import get_args

import pytest

from components.lib.models.architectures.architecture import Architecture
from components.lib.models.architectures.named import ARCHITECTURES
from components.lib.models.shape import ArchitectureName, Shape

GROUPED: list[ArchitectureName] = ["llama", "qwen3", "sliding", "moe"]
UNGROUPED: list[ArchitectureName] = ["gpt2", "bert"]


def of(shape: Shape) -> Architecture:
    return ARCHITECTURES[shape.architecture]


def problems(**sizes: int | str) -> list[str]:
    shape = Shape.model_validate(sizes)
    return list(of(shape).problems(shape))


def remedies(problem: str) -> list[dict[str, int]]:
    """Return the alternatives that a sentence offers."""
    offered = problem.partition(": take ")[2].rstrip(".").split(" or ")
    return [{name: int(value) for name, value in [offer.split("=")]} for offer in offered]


@pytest.mark.parametrize("architecture", GROUPED)
def test_the_default_sizes_fit_every_decoder_with_rotary_embedding(architecture: str) -> None:
    assert not problems(architecture=architecture)


@pytest.mark.parametrize("architecture", UNGROUPED)
def test_models_without_grouped_queries_say_so(architecture: str) -> None:
    (problem,) = problems(architecture=architecture)
    assert re.match("num_key_value_heads=2 differs from num_heads=4.*no grouped queries", problem)
    assert not problems(architecture=architecture, **remedies(problem)[0])


@pytest.mark.parametrize("architecture", get_args(ArchitectureName))
@pytest.mark.parametrize("num_heads", range(1, 17))
def test_what_a_recipe_leaves_open_fits_any_number_of_heads(
    architecture: ArchitectureName, num_heads: int
) -> None:
    default = ARCHITECTURES[architecture].default_num_key_value_heads(num_heads)
    sizes = {"width": 16 * num_heads, "num_heads": num_heads, "num_key_value_heads": default}
    assert not problems(architecture=architecture, **sizes)


@pytest.mark.parametrize(
    ("width", "num_heads", "said"),
    [
        (64, 3, "take num_heads=4 or width=66"),
        (100, 7, "take num_heads=5 or width=112"),
        (96, 5, "take num_heads=6 or width=100"),
        (34, 4, "take num_heads=1 or width=40"),
        (17, 4, "take num_heads=1 or width=24"),
    ],
)
def test_a_width_that_heads_do_not_divide_is_told_the_nearest_that_fit(
    width: int, num_heads: int, said: str
) -> None:
    (problem,) = problems(width=width, num_heads=num_heads, num_key_value_heads=1)
    assert problem == f"{width=} is not a multiple of {num_heads=}: {said}."


def test_the_nearest_heads_are_best_such_that_groups_divide() -> None:
    (problem,) = problems(width=96, num_heads=10, num_key_value_heads=2)
    assert remedies(problem) == [{"num_heads": 12}, {"width": 100}]
    for remedy in remedies(problem):
        assert not problems(**{"width": 96, "num_heads": 10, "num_key_value_heads": 2, **remedy})


def test_all_problems_are_in_one_error_with_the_values_and_the_remedies() -> None:
    shape = Shape(
        architecture="moe",
        width=100,
        num_heads=3,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_token=5,
    )
    with pytest.raises(ValueError, match="This moe cannot be built: ") as error:
        of(shape).check(shape)
    text = str(error.value)
    assert "width=100 is not a multiple of num_heads=3: take num_heads=2 or width=102." in text
    assert "num_heads=3 is not a multiple of num_key_value_heads=2: take" in text
    assert "num_experts_per_token=5 is more than num_experts=4" in text
    assert not problems(width=102, num_heads=3, num_key_value_heads=3)


def test_heads_of_an_odd_size_are_refused_where_positions_turn_pairs() -> None:
    odd = {"width": 36, "num_heads": 4, "num_key_value_heads": 4}  # heads of 9
    (problem,) = problems(**odd)
    assert re.search("heads of 9, and rotary.*take width=40", problem)
    assert not problems(architecture="gpt2", **odd)


def test_experts_matter_to_a_mixture_alone() -> None:
    assert not problems(num_experts=2, num_experts_per_token=3)
