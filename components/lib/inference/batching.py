"""Continuous batching: requests come and go while one step makes a token for each of them.

A token costs a token: every prompt is read once, a chunk at a time so that the answers beside it
go on, and every step reads one token a request (Yu et al. 2022, Orca). Requests at work stand in
the first slots, so that no step computes a slot that is empty.
"""

# B = requests at work, V = vocabulary

import logging
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.generation import (
    Ended,
    Engine,
    Event,
    Failed,
    Generation,
    Load,
    Made,
    Wanted,
)
from components.lib.inference.sampling import choose, log_probabilities
from components.lib.inference.slots import Slots

logger = logging.getLogger(__name__)


class _Request(Generation):
    """A request, from the queue to its end."""

    def __init__(self, wanted: Wanted, number: int, receive: Callable[[Event], None]) -> None:
        self.wanted = wanted
        self.is_cancelled = False
        self.slot = -1
        self.num_read = 0  # tokens in the slot
        self.next = wanted.prompt[-1]  # the last token that was not read
        self._left = number
        self._receive = receive
        self._random = np.random.default_rng(wanted.sampling.seed)

    def cancel(self) -> None:
        self.is_cancelled = True

    def take(self, logits: NDArray[np.float32], likeliest: int, ends: frozenset[int]) -> bool:
        """Tell the next token, drawn from its logits (V,); return whether the answer goes on."""
        self.num_read += 1
        token = choose(logits, likeliest, self.wanted.sampling, self._random)
        if not np.isfinite(logits[likeliest]):
            return self.end(Failed("The model computes no number: its weights are damaged."))
        is_end = token in ends or token in self.wanted.ends
        if is_end and not self.wanted.ignores_ends:
            return self.end(Ended("stop"))
        self.next = token
        self._left -= 1
        self._tell(self._made(token, logits))
        return self._left > 0 or self.end(Ended("length"))

    def end(self, event: Event) -> bool:
        """Tell the last event; return False."""
        self._tell(event)
        return False

    def _made(self, token: int, logits: NDArray[np.float32]) -> Made:
        if (number := self.wanted.num_likeliest) is None:
            return Made(token)
        own, best = log_probabilities(logits, token, number)
        return Made(token, own, best)

    def _tell(self, event: Event) -> None:
        try:
            self._receive(event)
        except Exception:  # whoever asked is gone; the others are not
            logger.debug("nobody receives %s", event, exc_info=True)
            self.is_cancelled = True


class BatchedEngine(Engine):
    """An engine over slots, with a thread of its own."""

    def __init__(self, slots: Slots, chunk: int = 128) -> None:
        """Begin to work; a prompt is read `chunk` tokens at a time between the steps of others."""
        self.model = slots.model
        self._slots, self._chunk = slots, chunk
        self._news = threading.Condition()
        self._waiting = deque[_Request]()
        self._reading: _Request | None = None
        self._active: list[_Request] = []  # in the order of their slots
        self._is_closed = False
        self._tokens_read = self._tokens_made = self._steps = 0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def submit(self, wanted: Wanted, receive: Callable[[Event], None]) -> Generation:
        """Begin an answer, as soon as there is a slot for it."""
        number = wanted.sampling.max_new_tokens
        self.model.check(wanted.prompt, 1)
        room = self.model.context_length - len(wanted.prompt)
        request = _Request(wanted, min(number, room), receive)
        with self._news:
            if self._is_closed:
                raise RuntimeError("The engine is closed.")
            self._waiting.append(request)
            self._news.notify()
        return request

    def load(self) -> Load:
        """Return what it does at this moment."""
        with self._news:
            running = len(self._active) + (self._reading is not None)
            done = self._tokens_read, self._tokens_made, self._steps
            return Load(running, len(self._waiting), self._slots.num_slots, *done)

    def close(self) -> None:
        """End all answers with `Failed`, and free the memory."""
        with self._news:
            self._is_closed = True
            self._news.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        while self._wait():
            try:
                self._drop_cancelled()
                self._read()
                self._step()
            except Exception as error:  # of whatever runtime: the next requests get a try
                logger.exception("an engine failed")
                self._end_all(Failed(f"The model failed: {error}"), waiting=False)
        self._end_all(Failed("The engine was closed."), waiting=True)
        self._slots.free()

    def _wait(self) -> bool:
        """Wait until there is something to do; return whether the engine is open."""
        with self._news:
            while not (self._is_closed or self._waiting or self._reading or self._active):
                self._news.wait()
            return not self._is_closed

    def _drop_cancelled(self) -> None:
        with self._news:
            gone = [each for each in self._waiting if each.is_cancelled]
            if gone:
                self._waiting = deque(e for e in self._waiting if not e.is_cancelled)
        if self._reading is not None and self._reading.is_cancelled:
            gone.append(self._reading)
            self._reading = None
        active = [each for each in self._active if each.is_cancelled]
        self._leave(active)
        for each in (*gone, *active):
            each.end(Ended("cancelled"))

    def _read(self) -> None:
        """Read on in the prompts that wait, a chunk of tokens in all."""
        budget = self._chunk
        while budget > 0 and (request := self._reading or self._admitted()) is not None:
            self._reading = request
            start, last = request.num_read, len(request.wanted.prompt) - 1
            end = min(start + budget, last)  # the last token is read by the first step
            if end > start:
                self._slots.read(request.slot, request.wanted.prompt[start:end], start)
                self._tokens_read += end - start
                budget -= end - start
                request.num_read = end
            if end == last:
                self._join(request)

    def _admitted(self) -> _Request | None:
        """Return the next request with a slot behind those at work, if there is one of both."""
        with self._news:
            if not self._waiting or len(self._active) == self._slots.num_slots:
                return None
            request = self._waiting.popleft()
        request.slot = len(self._active)
        return request

    def _join(self, request: _Request) -> None:
        """Let a request take part in the steps: its slot is the first after those at work."""
        self._reading = None
        self._move(request, len(self._active))
        self._active.append(request)

    def _step(self) -> None:
        """Make a token for every request at work."""
        if not (active := self._active):
            return
        logits = self._slots.step(
            [each.next for each in active], [each.num_read for each in active]
        )
        likeliest = logits.argmax(axis=-1).tolist()
        ends = self.model.end_ids
        goes_on = [
            request.take(row, best, ends)
            for request, row, best in zip(active, logits, likeliest, strict=True)
        ]
        self._steps += 1
        self._tokens_made += len(active)
        self._leave([each for each, on in zip(active, goes_on, strict=True) if not on])

    def _leave(self, gone: list[_Request]) -> None:
        """Take requests out of their slots; the last ones at work fill the holes."""
        for request in sorted(gone, key=lambda each: each.slot, reverse=True):
            last = self._active.pop()
            if last is not request:
                self._move(last, request.slot)
                self._active[request.slot] = last

    def _move(self, request: _Request, slot: int) -> None:
        if request.slot != slot:
            self._slots.move(request.slot, slot, request.num_read)
            request.slot = slot

    def _end_all(self, event: Event, waiting: bool) -> None:
        with self._news:
            gone = [*self._active, *([self._reading] if self._reading else [])]
            if waiting:
                gone += self._waiting
                self._waiting.clear()
            self._active.clear()
            self._reading = None
        for each in gone:
            each.end(event)
