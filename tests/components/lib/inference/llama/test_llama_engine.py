"""A GGUF file behind the interface of engines."""

import json
import time
from pathlib import Path

import pytest

from components.lib.inference.engines import open_engine, tokenizer_of
from components.lib.inference.generation import Ended, Engine, Event, Failed, Made, Wanted
from components.lib.inference.sampling import Sampling
from components.lib.text.chat_tokenizer import ChatTokenizer
from tests.components.lib.tiny_gguf import TOKENS, tiny_gguf

pytest.importorskip("xllamacpp")
LONG = Sampling(max_new_tokens=20)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("gguf") / "otter.gguf")


@pytest.fixture(scope="module")
def engine(machine, file):
    opened = open_engine(file, 2, 1)
    yield opened
    opened.close()


def answer(engine: Engine, wanted: Wanted) -> list[Made]:
    return list(engine.stream(wanted))


def ended(engine: Engine, wanted: Wanted) -> tuple[list[Made], Event]:
    events: list[Event] = []
    engine.submit(wanted, events.append)
    deadline = time.monotonic() + 60
    while not events or isinstance(events[-1], Made):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [event for event in events if isinstance(event, Made)], events[-1]


def test_it_answers_with_tokens_and_their_own_probabilities(engine):
    made, end = ended(engine, Wanted([5, 6, 7], LONG, 3, ignores_ends=True))
    assert end == Ended("length")
    assert 10 <= len(made) <= 20  # tokens that spell one character together are told once
    for each in made:
        assert each.likeliest[0] == (each.id, each.log_probability)
        assert len(each.likeliest) == 3
    again = answer(engine, Wanted([5, 6, 7], LONG, ignores_ends=True))
    assert [each.id for each in again] == [each.id for each in made]
    assert {each.log_probability for each in again} == {None}


def test_an_end_that_is_asked_for_ends_and_a_seed_draws_the_same(engine):
    made = answer(engine, Wanted([5, 6, 7], LONG, ignores_ends=True))
    end = made[4].id
    shorter = answer(engine, Wanted([5, 6, 7], LONG, ends=frozenset([end])))
    assert end not in [each.id for each in shorter]
    assert len(shorter) <= 4
    drawn = Sampling(max_new_tokens=20, temperature=1.5, seed=3)
    first = answer(engine, Wanted([5, 6, 7], drawn, ignores_ends=True))
    assert first == answer(engine, Wanted([5, 6, 7], drawn, ignores_ends=True))


def test_an_answer_holds_to_a_schema(engine, file):
    schema = {
        "type": "object",
        "properties": {"bird": {"enum": ["owl", "jay"]}},
        "required": ["bird"],
        "additionalProperties": False,
    }
    assert ChatTokenizer(tokenizer_of(file)).encode_text("ab") == [len(TOKENS) - 1]
    wanted = Wanted([5, 6], Sampling(max_new_tokens=200), schema=json.dumps(schema))
    made = answer(engine, wanted)
    text = "".join(each.text or "" for each in made)
    if len(made) < 200:  # a model that knows nothing may say spaces for ever
        assert json.loads(text)["bird"] in ("owl", "jay")
    assert text.lstrip().startswith("{")


def test_what_is_cancelled_or_too_long_is_so_here_too(engine):
    tokens = engine.stream(Wanted([5, 6], Sampling(max_new_tokens=200), ignores_ends=True))
    next(tokens)
    tokens.close()
    deadline = time.monotonic() + 30
    while engine.load().running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.load().running == 0
    with pytest.raises(ValueError, match="leaves no room in a context of 256"):
        engine.submit(Wanted([5] * 256, LONG), print)


def test_a_damaged_file_and_a_closed_engine_say_so(file, tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ValueError, match="cut short"):
        open_engine(damaged, 1, 1)
    engine = open_engine(file, 1, 1)
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(Wanted([5], LONG), print)
    assert not isinstance(engine.load(), Failed)
