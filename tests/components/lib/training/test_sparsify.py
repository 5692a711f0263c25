"""How sparse a layer is to be at each step of a training."""

import pytest

from components.lib.training.sparsify import Gradual, SoftThreshold


def test_the_schedule_begins_and_ends_where_it_says_and_never_falls():
    schedule = Gradual(final_sparsity=0.9, begin=0.1, end=0.6)
    found = [schedule.sparsity(step, 100, 0.2) for step in range(101)]
    assert found[10] == pytest.approx(0.2)
    assert found[35] == pytest.approx(0.9 - 0.7 / 8)  # half way: an eighth is left
    assert found[60] == found[100] == pytest.approx(0.9)
    assert found == sorted(found)


def test_a_layer_that_is_sparser_already_stays_as_it_is():
    assert Gradual(final_sparsity=0.5).sparsity(50, 100, 0.7) == 0.7


def test_what_means_nothing_is_refused():
    with pytest.raises(ValueError, match=r"begin=0.6 is not before end=0.5"):
        Gradual(begin=0.6)
    for value in (0.0, 1.0):
        with pytest.raises(ValueError, match="final_sparsity"):
            Gradual(final_sparsity=value)
    with pytest.raises(ValueError, match="strength"):
        SoftThreshold(strength=0.0)
