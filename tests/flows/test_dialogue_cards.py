"""The card of a set of dialogues: found by the name of the set, the newest first."""

import json

from components.core.journal import Origin, Step, write_step
from components.core.settings import settings
from flows.cards import find_dialogue_card


def _prepared(run: str, kind: str, *names: str) -> None:
    """Leave what a run does that prepared some sets."""
    component = "data.prepare_dialogues" if kind == "instructions" else "data.prepare_pairs"
    out = settings().artifacts / component / "1.0.0" / run
    out.mkdir(parents=True)
    card = {"kind": kind, "sets": {name: {} for name in names}}
    (out / "card.json").write_text(json.dumps(card))
    step = Step(
        component=component, version="1.0.0", fingerprint=run, cached=False, seconds=1.0, path=out
    )
    write_step(Origin(run_id=run, run_name=run, flow="finetune"), step)


def _found(name: str) -> str | None:
    folder = find_dialogue_card(name)
    return folder and folder.name


def test_the_newest_card_of_a_set_is_found_by_its_name_and_kind():
    assert _found("mine") is None
    _prepared("first", "instructions", "mine", "yours")
    _prepared("second", "instructions", "mine")
    _prepared("third", "preferences", "yours")
    assert _found("mine") == _found("instructions/mine") == "second"
    assert _found("yours") == _found("preferences/yours") == "third"
    assert _found("instructions/yours") == "first"
    assert _found("nobody") is None
