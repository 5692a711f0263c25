"""Several sets of dialogues: each has its share, and none of it is left out."""

from collections import Counter

import numpy as np
import pytest

from components.lib.examples.dialogues import Dialogues
from components.lib.examples.mixture import Mixture
from components.lib.examples.permutation import draw
from components.lib.models.folders import load_tokenizer
from components.lib.text.dialogue import Dialogue, Message


def dialogue(name: str, number: int) -> Dialogue:
    messages = (
        Message(role="user", content=f"What is {name} {number}?"),
        Message(role="assistant", content=f"It is {number}."),
    )
    return Dialogue(id=f"{name}/{number}", messages=messages)


@pytest.fixture(scope="module")
def dialogues(vocabulary) -> Dialogues:
    rows = [dialogue("few", n) for n in range(10)] + [dialogue("many", n) for n in range(90)]
    return Dialogues(load_tokenizer(vocabulary.path), rows, 64)


def sources(mixture: Mixture, dialogues: Dialogues, indices: np.ndarray) -> Counter[str]:
    members = mixture.members(indices).tolist()
    return Counter(dialogues.dialogues[index].source for index in members)


def test_a_set_has_its_share_of_what_is_drawn_and_every_dialogue_comes(dialogues):
    mixture = Mixture(dialogues, {"few": 1, "many": 3})
    everything = np.arange(len(mixture))
    counted = sources(mixture, dialogues, everything)
    assert counted["few"] / len(mixture) == pytest.approx(0.25, abs=0.01)
    assert set(mixture.members(everything).tolist()) == set(range(100))
    drawn = np.concatenate([draw(step, 32, len(mixture), seed=0) for step in range(200)])
    assert sources(mixture, dialogues, drawn)["few"] / len(drawn) == pytest.approx(0.25, abs=0.02)


def test_it_says_how_often_each_set_is_seen(dialogues):
    mixture = Mixture(dialogues, {"few": 1, "many": 1})
    assert mixture.epochs(180) == {"few": pytest.approx(9), "many": pytest.approx(1)}


def test_what_an_index_means_is_a_dialogue_of_that_set(dialogues):
    mixture = Mixture(dialogues, {"few": 1, "many": 3})
    batch = mixture.batch(np.array([0, len(mixture) - 1]))
    alone = dialogues.batch(mixture.members(np.array([0, len(mixture) - 1])))
    assert batch.inputs.tolist() == alone.inputs.tolist()


@pytest.mark.parametrize("weights", [{"few": 1.0}, {"few": 1.0, "many": 1.0, "none": 1.0}])
def test_weights_of_other_sets_are_refused_with_those_that_are_there(dialogues, weights):
    with pytest.raises(ValueError, match=r"the dialogues are of few, many: give each of these"):
        Mixture(dialogues, weights)
