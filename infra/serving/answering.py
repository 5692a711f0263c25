"""The answers of one request: several engine generations as one stream of pieces of text."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from components.lib.inference.generation import Ended, Event, Failed, Made, Wanted
from components.lib.inference.text_stream import TextStream
from infra.serving.models import ServedModel
from infra.serving.refusals import Refusal


class Piece(NamedTuple):
    """What came of one answer since its last piece."""

    choice: int
    """Which answer it is of."""
    text: str
    """May be none: a character or a stop string may not be whole yet."""
    made: tuple[Made, ...]
    """Its tokens."""
    finish: str | None = None
    """`stop` or `length` in the last piece of an answer."""


class Timing(NamedTuple):
    """When things happened to a request, seconds of a monotonic clock."""

    began: float
    """When it was given to the engine."""
    first: float | None
    """When its first token came."""
    last: float | None
    """When its last one came."""
    num_tokens: int
    """Tokens made, over all its answers."""


class Answers:
    """The answers of a request to one model."""

    def __init__(self, model: ServedModel, wanted: Sequence[Wanted], stops: Sequence[str]) -> None:
        """Prepare an answer for each of `wanted`."""
        self._engine, self._wanted = model.engine, wanted
        decode = model.tokenizer.decode_answer
        self._texts = [TextStream(decode, stops) for _ in wanted]
        self._began = time.monotonic()
        self._first: float | None = None
        self._last: float | None = None
        self.num_made = [0 for _ in wanted]
        """Tokens of each answer."""
        self.texts = ["" for _ in wanted]
        """What each answer has said."""
        self.nats = [0.0 for _ in wanted]
        """Sum of each answer's negative log probabilities, where they were asked for."""

    def timing(self) -> Timing:
        """Return when things happened so far."""
        return Timing(self._began, self._first, self._last, sum(self.num_made))

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Yield the pieces of all answers as they come. What is not read to the end is cancelled.

        Raises:
            Refusal: the prompt is refused by the model, or the model fails.
        """
        loop = asyncio.get_running_loop()
        events = asyncio.Queue[tuple[int, Event]]()

        def receive(choice: int, event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, (choice, event))

        begun = [
            self._engine.submit(wanted, lambda event, choice=choice: receive(choice, event))
            for choice, wanted in enumerate(self._wanted)
        ]
        open_ = set(range(len(begun)))
        try:
            while open_:
                choice, event = await events.get()
                if choice not in open_:
                    continue  # it was stopped, and the engine did not know yet
                piece = self._piece(choice, event)
                if piece.finish is not None:
                    open_.discard(choice)
                    begun[choice].cancel()
                yield piece
        finally:
            for generation in begun:
                generation.cancel()

    def _piece(self, choice: int, event: Event) -> Piece:
        text = self._texts[choice]
        if isinstance(event, Failed):
            raise Refusal(503, event.message, "engine_failed", retry_after=1)
        if isinstance(event, Ended):
            piece = Piece(choice, text.finish(), (), event.reason)
        else:
            self._count(choice, event)
            said = text.push(event.id) if event.text is None else text.push_text(event.text)
            piece = Piece(choice, said, (event,))
        if text.is_stopped:
            piece = piece._replace(finish="stop")
        self.texts[choice] += piece.text
        return piece

    def _count(self, choice: int, made: Made) -> None:
        self._last = time.monotonic()
        self._first = self._first or self._last
        self.num_made[choice] += 1
        self.nats[choice] -= made.log_probability or 0.0
