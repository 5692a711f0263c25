"""Talking through the engine is talking: the same tokens, with the same probabilities."""

import gc
import threading

import pytest

from components.lib.inference.batched_conversation import BatchedConversation
from components.lib.inference.conversation import Conversation
from components.lib.inference.sampling import Sampling


def test_an_answer_is_that_of_a_conversation_and_the_engine_ends_with_it(both_forms):
    alone, batched = Conversation(both_forms, 1), BatchedConversation(both_forms, 1)
    ids = alone.ask("Count: 1 2 3")
    one, other = (list(each.stream(ids, Sampling(), 3)) for each in (alone, batched))
    assert [token.text for token in one] == [token.text for token in other]
    assert [token.probability for token in one] == pytest.approx(
        [token.probability for token in other], abs=0.03
    )
    assert len(other[0].likeliest) == 3
    assert other[0].likeliest[0] == (other[0].text, pytest.approx(other[0].probability))
    assert batched.answer("Count: 1 2 3") == alone.answer("Count: 1 2 3")
    with pytest.raises(ValueError, match="leaves no room"):
        batched.stream([5] * 256, Sampling())
    del batched
    gc.collect()
    assert "engine" not in [thread.name for thread in threading.enumerate()]
