"""Continuous batching: what an answer is does not depend on who else is answered."""

import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from components.lib.inference.batching import BatchedEngine
from components.lib.inference.engines import open_engine
from components.lib.inference.generation import Ended, Engine, Event, Failed, Made, Wanted
from components.lib.inference.sampling import Sampling, softmax
from components.lib.inference.slots import Slots, room

SLOTS = 4
PROMPTS = [[5 + (7 * i + 3 * j) % 400 for j in range(1 + 9 * i)] for i in range(9)]
LONG = Sampling(max_new_tokens=24)


@pytest.fixture(scope="module")
def endless(both_forms: Path, tmp_path_factory) -> Path:
    """The model with an end that it never says, so that answers are as long as is asked for."""
    folder = tmp_path_factory.mktemp("endless") / "model"
    shutil.copytree(both_forms, folder)
    for name in ("config.json", "generation_config.json", "onnx/genai_config.json"):
        config = json.loads((folder / name).read_text("utf-8"))
        config.get("model", config)["eos_token_id"] = 511
        (folder / name).write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=["exported", "whole"])
def engine(request, endless: Path, tmp_path_factory):
    folder = endless
    if request.param == "whole":
        folder = tmp_path_factory.mktemp("whole") / "model"
        shutil.copytree(endless, folder, ignore=shutil.ignore_patterns("onnx"))
    opened = open_engine(folder, SLOTS, num_threads=1, chunk=16)
    yield opened
    opened.close()


def ids(engine: Engine, wanted: Wanted) -> list[int]:
    return [made.id for made in engine.stream(wanted)]


class Listener:
    """Keeps the events of a request."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_over = threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if not isinstance(event, Made):
            self.is_over.set()

    def end(self) -> Event:
        assert self.is_over.wait(60)
        return self.events[-1]

    def ids(self) -> list[int]:
        return [event.id for event in self.events if isinstance(event, Made)]


def test_greedy_answers_are_the_same_alone_and_among_others(engine):
    """Exactly: the export's kernels compute a row alike in every batch, on the machines seen yet.

    PyTorch's may not, to rounding; these short answers of a small model have no near ties.
    """
    alone = [ids(engine, Wanted(prompt, LONG)) for prompt in PROMPTS]
    listeners = [Listener() for _ in PROMPTS]
    for prompt, listener in zip(PROMPTS, listeners, strict=True):
        engine.submit(Wanted(prompt, LONG), listener)
    assert all(isinstance(each.end(), Ended) for each in listeners)
    assert [each.ids() for each in listeners] == alone
    assert engine.load().running == engine.load().waiting == 0


def test_a_greedy_answer_is_the_one_that_reading_all_again_for_each_token_gives(engine, endless):
    for prompt in PROMPTS[1:4]:
        text = list(prompt)
        for made in engine.stream(Wanted(prompt, Sampling(max_new_tokens=12), 3)):
            ((best, share),) = engine.model.next_token_probabilities(text, 1)
            assert made.log_probability == pytest.approx(np.log(share), abs=0.05)
            assert made.id == best or made.likeliest[0][1] - made.likeliest[1][1] < 0.1
            assert made.likeliest[0] == (made.id, made.log_probability)
            text.append(made.id)


def test_the_same_seed_draws_the_same_answer_whoever_is_beside_it(engine):
    drawn = Sampling(max_new_tokens=16, temperature=1.0, top_p=0.9, seed=7)
    first = ids(engine, Wanted(PROMPTS[3], drawn))
    listeners = [Listener() for _ in range(SLOTS)]
    for listener in listeners:
        engine.submit(Wanted(PROMPTS[3], drawn), listener)
    assert [each.end() for each in listeners]
    assert [each.ids() for each in listeners] == [first] * SLOTS
    other = ids(engine, Wanted(PROMPTS[3], drawn.model_copy(update={"seed": 8})))
    assert other != first


def test_a_prompt_that_is_read_in_chunks_is_answered_as_one_that_is_read_at_once(endless):
    answers: list[list[int]] = []
    for chunk in (5, 1000):
        engine = open_engine(endless, 2, num_threads=1, chunk=chunk)
        answers.append(ids(engine, Wanted(PROMPTS[-1], LONG)))
        engine.close()
    assert answers[0] == answers[1]


def test_every_prompt_is_read_once_and_every_step_makes_a_token_for_all(endless):
    engine = open_engine(endless, SLOTS, num_threads=1)
    made = [ids(engine, Wanted(prompt, LONG)) for prompt in PROMPTS[:3]]
    load = engine.load()
    assert load.tokens_read == sum(len(prompt) - 1 for prompt in PROMPTS[:3])
    assert load.tokens_made == load.steps == sum(map(len, made))
    listeners = [Listener() for _ in range(SLOTS)]
    for listener in listeners:
        engine.submit(Wanted(PROMPTS[1], LONG), listener)
    assert all(listener.end() for listener in listeners)
    more = engine.load()
    assert more.steps - load.steps < more.tokens_made - load.tokens_made
    engine.close()


def test_a_cancelled_answer_frees_its_slot_and_the_others_go_on(engine):
    listeners = [Listener() for _ in range(SLOTS + 2)]
    endless = Wanted(PROMPTS[2], Sampling(max_new_tokens=200))
    begun = [engine.submit(endless, listener) for listener in listeners]
    for place in (0, 2, SLOTS + 1):  # two at work, one that waits
        begun[place].cancel()
    ends = [listener.end() for listener in listeners]
    assert [ends[place] for place in (0, 2, SLOTS + 1)] == [Ended("cancelled")] * 3
    others = [listeners[place].ids() for place in (1, 3, SLOTS)]
    assert others[0] == others[1] == others[2]
    assert len(others[0]) == 200
    assert len(listeners[0].ids()) < 200
    assert engine.load().running == 0


def test_an_answer_that_is_not_read_to_its_end_is_cancelled(engine):
    tokens = engine.stream(Wanted(PROMPTS[2], Sampling(max_new_tokens=200)))
    next(tokens)
    tokens.close()
    deadline = time.monotonic() + 30
    while engine.load().running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.load().running == 0


def test_one_who_listens_badly_hurts_nobody_else(engine):
    def deaf(event: Event) -> None:
        raise OSError("gone")

    engine.submit(Wanted(PROMPTS[2], LONG), deaf)
    assert ids(engine, Wanted(PROMPTS[3], LONG))
    assert engine.load().running == 0


def test_an_answer_ends_at_the_ends_that_are_asked_for_and_where_the_room_is_full(engine):
    whole = ids(engine, Wanted(PROMPTS[3], LONG))
    assert len(whole) == LONG.max_new_tokens
    end = whole[2]
    listener = Listener()
    engine.submit(Wanted(PROMPTS[3], LONG, ends=frozenset([end])), listener)
    assert listener.end() == Ended("stop")
    assert listener.ids() == whole[: whole.index(end)]
    listener, context = Listener(), engine.model.context_length
    nearly = Wanted([6] * (context - 2), Sampling(max_new_tokens=100, temperature=1.0))
    engine.submit(nearly, listener)
    assert isinstance(listener.end(), Ended)
    assert len(listener.ids()) == 2


def test_what_the_model_cannot_read_is_refused_at_once(engine):
    for prompt, message in (
        ([], "A prompt is empty"),
        ([10**6], "outside the vocabulary"),
        ([5] * engine.model.context_length, "leaves no room"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.submit(Wanted(prompt, LONG), print)


def test_an_engine_that_is_closed_says_so_to_all(endless):
    engine = open_engine(endless, 1, num_threads=1)
    listeners = [Listener(), Listener()]
    for listener in listeners:
        engine.submit(Wanted(PROMPTS[2], Sampling(max_new_tokens=200)), listener)
    engine.close()
    assert {listener.end() for listener in listeners} == {Failed("The engine was closed.")}
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(Wanted(PROMPTS[2], LONG), print)


def test_a_runtime_that_fails_once_fails_those_at_work_and_answers_the_next(endless):
    class Failing(Slots):
        """Fails at the second step."""

        def __init__(self, whole: Slots) -> None:
            super().__init__(whole.model, whole.num_slots)
            self._whole, self._steps = whole, 0
            self.read, self.move, self.free = whole.read, whole.move, whole.free

        def step(self, tokens, lengths):
            self._steps += 1
            if self._steps == 2:
                raise MemoryError("no memory")
            logits = self._whole.step(tokens, lengths)
            return np.full_like(logits, np.nan) if self._steps == 4 else logits

        read = move = free = None  # pyright: ignore

    from components.lib.inference.onnx_slots import OnnxSlots

    engine = BatchedEngine(Failing(OnnxSlots(endless / "onnx", 2, 1)))
    for message in ("The model failed: no memory", "computes no number"):
        listener = Listener()
        engine.submit(Wanted(PROMPTS[3], LONG), listener)
        end = listener.end()
        assert isinstance(end, Failed)
        assert message in end.message
        assert len(listener.ids()) == 1
    assert ids(engine, Wanted(PROMPTS[3], LONG))
    engine.close()


def test_log_probabilities_are_those_of_the_softmax():
    from components.lib.inference.sampling import log_probabilities

    logits = np.random.default_rng(0).normal(size=50).astype(np.float32)
    own, best = log_probabilities(logits, 7, 4)
    shares = softmax(logits)
    assert np.exp(own) == pytest.approx(shares[7], rel=1e-5)
    order = np.argsort(-shares)[:4]
    assert [token for token, _ in best] == order.tolist()
    assert [np.exp(log) for _, log in best] == pytest.approx(shares[order].tolist(), rel=1e-5)


def test_the_room_of_a_slot_is_bounded_by_memory_and_by_the_context():
    assert room(2048, 8, 1000, 10**9) == 2048
    assert room(2048, 8, 1000, 8 * 1000 * 100) == 100
    with pytest.raises(ValueError, match="fewer slots"):
        room(2048, 8, 1000, 8 * 1000 * 10)
