"""Sizes that do not fit are refused before a run, all at once."""

import pytest

from components.lib.models.shape import Shape


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "sliding", "moe"])
def test_the_default_sizes_fit_every_decoder_with_rotary_embedding(architecture):
    Shape(architecture=architecture).check()


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_models_without_grouped_queries_say_so(architecture):
    with pytest.raises(ValueError, match=r"num_key_value_heads=2 differs.*set both to 4"):
        Shape(architecture=architecture).check()
    Shape(architecture=architecture, num_key_value_heads=4).check()


def test_all_problems_are_in_one_error_with_the_values_and_the_remedies():
    shape = Shape(
        architecture="moe",
        width=100,
        num_heads=3,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_token=5,
    )
    with pytest.raises(ValueError) as error:
        shape.check()
    text = str(error.value)
    assert "self.width=100 is not a multiple of self.num_heads=3: take a width of 102." in text
    assert "self.num_heads=3 is not a multiple of self.num_key_value_heads=2" in text
    assert "self.num_experts_per_token=5 is more than self.num_experts=4" in text
    Shape(width=102, num_heads=3, num_key_value_heads=3).check()  # the remedies are right


def test_heads_of_an_odd_size_are_refused_where_positions_turn_pairs():
    odd = {"width": 36, "num_heads": 4, "num_key_value_heads": 4}  # heads of 9
    with pytest.raises(ValueError, match=r"heads of 9, and rotary.*take a width of 40"):
        Shape(**odd).check()
    Shape(architecture="gpt2", **odd).check()


def test_experts_matter_to_a_mixture_alone():
    Shape(num_experts=2, num_experts_per_token=3).check()
