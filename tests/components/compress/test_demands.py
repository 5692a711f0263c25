"""What the export asks of a model: known from a shape before training, and from a config after."""

import json

import pytest

from components.compress.demands import config_problems, export_problems
from components.compress.export import export_int8
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import load_tokenizer, save_model
from components.lib.models.shape import Shape


def shape(**sizes) -> Shape:
    return Shape(**{"width": 64, "num_layers": 1, "num_heads": 4, "max_length": 32, **sizes})


REFUSED = [
    shape(width=48),
    shape(num_heads=8, num_key_value_heads=4),
    shape(architecture="moe"),
    shape(architecture="gpt2", num_key_value_heads=4),
    shape(architecture="bert", num_key_value_heads=4),
]
TAKEN = [shape(), shape(architecture="qwen3"), shape(architecture="sliding", window=8)]


@pytest.fixture
def saved(vocabulary, tmp_path):
    """Return a function that leaves a model of a shape and returns its folder."""

    def save(wanted: Shape):
        tokenizer = load_tokenizer(vocabulary.path)
        model = build_model(wanted, vocabulary.vocab_size, SpecialIds.of(tokenizer), seed=0)
        save_model(model, vocabulary.path, tmp_path / "model")
        return tmp_path / "model"

    return save


@pytest.mark.parametrize("wanted", REFUSED, ids=str)
def test_what_a_shape_is_told_before_training_the_export_would_refuse_after(
    wanted, saved, tmp_path
):
    assert export_problems(wanted)
    with pytest.raises(ValueError, match="cannot be exported"):
        export_int8(saved(wanted), tmp_path / "out")


@pytest.mark.parametrize("wanted", TAKEN, ids=str)
def test_a_shape_without_problems_has_a_config_without_problems(wanted, saved):
    assert export_problems(wanted) == []
    assert config_problems(json.loads((saved(wanted) / "config.json").read_text("utf-8"))) == []


def test_a_shape_of_refused_heads_is_told_sizes_that_are_taken():
    assert export_problems(shape(width=96, num_heads=4)) == [
        "width=96 over num_heads=4 gives heads of 24, and the int8 export takes multiples of 16: "
        "take width=128 or num_heads=3."
    ]
    assert export_problems(shape(width=128)) == []
    assert export_problems(shape(width=96, num_heads=3, num_key_value_heads=1)) == []


def test_a_config_that_names_no_architecture_is_refused_with_those_that_are_known():
    (problem,) = config_problems({})
    assert "LlamaForCausalLM" in problem
