"""Out of memory once, a training goes on with half of the micro-batch and ends the same."""

import logging
import weakref

import pytest
import torch

from components.lib.objectives.next_token import NextToken
from components.lib.training.memory import MicroBatch, is_out_of_memory
from tests.components.lib.toy import ROUNDING, ledger, losses, plan, points, train


class Small(NextToken):
    """Has memory for so many examples at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.sizes = room, []

    def __call__(self, model, batch) -> dict[str, torch.Tensor]:
        terms = super().__call__(model, batch)  # the forward pass fits
        self.sizes.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return terms


def test_it_is_halved_once_and_a_new_attempt_begins_with_the_half(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        MicroBatch(tmp_path, 64).halve(num_examples=200)
    assert "32 examples at once instead of 64" in caplog.text
    assert MicroBatch(tmp_path, 64).size == 32


def test_half_is_that_of_what_was_computed_at_once(tmp_path):
    """The default of 1024 is not the size of a batch of 16."""
    micro_batch = MicroBatch(tmp_path, 1024)
    micro_batch.halve(num_examples=16)
    assert micro_batch.size == 8


def test_the_second_time_is_an_error_with_the_remedy_also_in_a_new_attempt(tmp_path):
    micro_batch = MicroBatch(tmp_path, 64)
    micro_batch.halve(200)
    for again in (micro_batch, MicroBatch(tmp_path, 64)):
        with pytest.raises(RuntimeError, match=r"32 examples at once .* Lower micro_batch_size"):
            again.halve(200)


def test_a_single_example_that_does_not_fit_is_an_error_at_once(tmp_path):
    with pytest.raises(RuntimeError, match="1 examples at once do not fit"):
        MicroBatch(tmp_path, 64).halve(1)


def test_only_errors_of_memory_are_taken_for_such():
    try:
        torch.empty(1 << 60)
    except RuntimeError as error:
        assert is_out_of_memory(error)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize("micro_batch_size", [1024, 6])
def test_a_training_that_meets_its_limit_goes_on_with_half_and_ends_the_same(
    tmp_path, micro_batch_size
):
    training = plan(num_steps=6, micro_batch_size=micro_batch_size)
    whole, halved = Small(room=1024), Small(room=10 if micro_batch_size > 16 else 5)
    train(tmp_path / "whole", training=training, objective=whole)
    train(tmp_path / "halved", training=training, objective=halved)
    assert max(whole.sizes) > halved.room
    assert [size > halved.room for size in halved.sizes].count(True) == 1
    left, right = losses(tmp_path / "whole"), losses(tmp_path / "halved")
    assert right == pytest.approx(left, rel=ROUNDING)
    assert ledger(tmp_path / "whole") == ledger(tmp_path / "halved")
    assert [step for step, _ in points(tmp_path / "halved")] == [
        step for step, _ in points(tmp_path / "whole")
    ]


def test_the_half_done_gradient_of_the_first_try_is_forgotten(tmp_path):
    """The last part does not fit, when the ones before it have left their gradients."""

    class Late(Small):
        def __call__(self, model, batch):
            terms = super().__call__(model, batch)
            if len(self.sizes) == 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return terms

    training = plan(num_steps=3, micro_batch_size=8)
    train(tmp_path / "whole", training=training)
    train(tmp_path / "late", training=training, objective=Late(1024))
    norms = [
        [
            point["optimizer.gradient_norm"]
            for _, point in points(tmp_path / name)
            if "loss" in point
        ]
        for name in ("whole", "late")
    ]
    assert norms[1] == pytest.approx(norms[0], rel=3 * ROUNDING)


def test_what_did_not_fit_is_freed_before_the_half_is_tried(tmp_path):
    """The traceback of the error refers to every activation that was made before it."""
    left_over = []

    class Watched(Small):
        def __call__(self, model, batch):
            if left_over and len(self.sizes) == 1:
                assert left_over[0]() is None
            activations = torch.zeros(1000)
            left_over.append(weakref.ref(activations))
            return super().__call__(model, batch)

    train(tmp_path, training=plan(num_steps=2), objective=(watched := Watched(room=8)))
    assert watched.sizes == [16, 8, 8, 8, 8]


def test_a_training_that_does_not_fit_in_halves_either_says_what_to_do(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"8 examples at once do not fit.*Lower micro_batch_size"
    ):
        train(tmp_path, training=plan(num_steps=2), objective=Small(room=5))
