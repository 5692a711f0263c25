"""What depth says, against the formulas worked out by hand."""

import math
from itertools import pairwise
from typing import get_args

import pytest

from components.lib.models.dial import multiplying_parameters, shape_at, size_for
from components.lib.models.shape import ArchitectureName, Shape
from components.lib.training.hyperparameters import DialledHyperparameters
from components.pretrain.train import Train

VOCABULARY = 4096
# blocks x (attention + feed-forward) + output head, with the heads of keys and values below
BY_HAND = {
    4: 4 * (2 * 256**2 * 1.5 + 8 * 256**2) + VOCABULARY * 256,
    8: 8 * (2 * 512**2 * 1.5 + 8 * 512**2) + VOCABULARY * 512,
    12: 12 * (2 * 768**2 * 1.5 + 8 * 768**2) + VOCABULARY * 768,
}


def size_at(depth: int, ratio: float = 12.0, length: int = 256):
    return size_for(Shape(**shape_at(depth)), VOCABULARY, length, ratio)


@pytest.mark.parametrize(
    ("depth", "width", "key_value_heads"),
    [(1, 64, 1), (2, 128, 1), (4, 256, 2), (5, 320, 1), (8, 512, 4), (9, 576, 3), (12, 768, 6)],
)
def test_width_and_heads_follow_from_depth(depth, width, key_value_heads):
    assert shape_at(depth) == {
        "width": width,
        "num_layers": depth,
        "num_heads": depth,
        "num_key_value_heads": key_value_heads,
    }


@pytest.mark.parametrize("depth", BY_HAND)
def test_the_weights_that_multiply_are_counted_as_by_hand(depth):
    assert multiplying_parameters(Shape(**shape_at(depth)), VOCABULARY) == BY_HAND[depth]


def test_the_count_is_that_of_the_model_that_is_built():
    from components.lib.models.build import SpecialIds, build_model

    shape = Shape(**shape_at(4))
    matrices = sum(
        p.numel()
        for p in build_model(shape, VOCABULARY, SpecialIds(0, 1), 0).parameters()
        if p.ndim > 1
    )
    assert multiplying_parameters(shape, VOCABULARY) == pytest.approx(matrices, rel=0.02)


def test_the_reference_is_what_was_tuned():
    size = size_at(4)
    assert size.batch_size * 256 == 8192
    assert size.learning_rate == pytest.approx(0.01)
    assert size.weight_decay == pytest.approx(0.1)
    assert size.num_steps == round(12 * BY_HAND[4] / 8192)


@pytest.mark.parametrize(("depth", "batch_tokens"), [(4, 8192), (8, 16384), (12, 32768)])
def test_batch_rate_and_decay_follow_the_stated_laws(depth, batch_tokens):
    """(N / N_4)^0.383 is 1, 1.92 and 2.93 at these depths: to powers of two 1, 2 and 4."""
    growth = (BY_HAND[depth] / BY_HAND[4]) ** 0.383
    assert 2 ** round(math.log2(growth)) * 8192 == batch_tokens
    size = size_at(depth)
    assert size.batch_size == batch_tokens / 256
    assert size.num_steps == round(12 * BY_HAND[depth] / batch_tokens)
    root = math.sqrt(batch_tokens / 8192)
    assert size.learning_rate == pytest.approx(0.01 * root * 4 / depth)
    assert size.weight_decay == pytest.approx(0.1 * root * BY_HAND[4] / BY_HAND[depth])


def test_a_longer_horizon_takes_more_steps_of_the_same_batch():
    short, long = size_at(8, ratio=10), size_at(8, ratio=20)
    assert long.num_steps == pytest.approx(2 * short.num_steps, abs=1)
    assert long[1:] == short[1:]


def test_longer_sequences_take_fewer_of_them_for_the_same_tokens():
    short, long = size_at(8, length=128), size_at(8, length=512)
    assert short.batch_size == 4 * long.batch_size
    assert short.num_steps == long.num_steps
    assert size_at(1, length=1 << 20).batch_size == 1
    assert size_at(1, ratio=1e-6).num_steps == 1


def test_what_is_deeper_is_larger_trained_longer_and_more_gently():
    sizes = [size_at(depth) for depth in range(1, 33)]
    counts = [
        multiplying_parameters(Shape(**shape_at(depth)), VOCABULARY) for depth in range(1, 33)
    ]
    tokens = [size.num_steps * size.batch_size for size in sizes]
    assert counts == sorted(set(counts))
    assert tokens == sorted(set(tokens))
    batches = [size.batch_size for size in sizes]
    assert batches == sorted(batches)
    for smaller, larger in pairwise(sizes):
        if smaller.batch_size == larger.batch_size:
            assert larger.learning_rate < smaller.learning_rate
            assert larger.weight_decay < smaller.weight_decay


@pytest.mark.parametrize("architecture", get_args(ArchitectureName))
@pytest.mark.parametrize("depth", range(1, 17))
def test_every_depth_of_every_architecture_is_a_model_that_can_be_built(architecture, depth):
    shape, training = Train(architecture=architecture, depth=depth).resolve(VOCABULARY)
    assert (shape.architecture, shape.num_layers, shape.width) == (architecture, depth, 64 * depth)
    assert training.num_steps > 0


def test_what_depth_says_is_what_the_component_trains():
    shape, training = Train(depth=8).resolve(VOCABULARY)
    assert shape == Shape(**shape_at(8))
    found = {name: getattr(training, name) for name in size_at(8)._fields}
    assert found == size_at(8)._asdict()


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 96), ("num_heads", 2), ("num_key_value_heads", 1), ("max_length", 300)],
)
def test_every_size_that_is_given_holds(name, value):
    shape, _ = Train(depth=4, **{name: value}).resolve(VOCABULARY)
    assert getattr(shape, name) == value
    others = {**shape_at(4), "num_key_value_heads": shape.num_heads // 2, name: value}
    assert {key: getattr(shape, key) for key in others} == others


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_steps", 7),
        ("batch_size", 3),
        ("learning_rate", 0.3),
        ("weight_decay", 0.0),
        ("seed", 5),
        ("optimizer", "adamw"),
        ("warmup_fraction", 0.5),
        ("checkpoint_every", 3),
    ],
)
def test_every_decision_about_the_training_that_is_given_holds(name, value):
    plain = Train(depth=4).resolve(VOCABULARY).training
    told = DialledHyperparameters(**{name: value})
    training = Train(depth=4, training=told).resolve(VOCABULARY).training
    assert getattr(plain, name) != value
    assert training == plain.model_copy(update={name: value})


def test_a_given_width_is_reckoned_with():
    """A narrower model has fewer weights, so fewer tokens, and learns faster."""
    narrow, plain = (Train(depth=4, width=width).resolve(VOCABULARY) for width in (128, None))
    assert narrow.training.learning_rate > plain.training.learning_rate
    tokens = [t.num_steps * t.batch_size for _, t in (narrow, plain)]
    assert tokens[0] < tokens[1]


def test_sizes_that_do_not_fit_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"width=100 over num_heads=4.*take width=104"):
        Train(depth=4, width=100)
