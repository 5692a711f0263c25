"""What is asked of an engine, and what it tells: token by token, until the end."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Literal, NamedTuple

from components.lib.inference.language_model import LanguageModel
from components.lib.inference.sampling import Sampling


class Wanted(NamedTuple):
    """A text to go on from, and how."""

    prompt: list[int]
    """Ids of the text."""
    sampling: Sampling
    """How tokens are drawn, and how many there may be."""
    num_likeliest: int | None = None
    """How many of the likeliest tokens are told at each place; None: no probability is told."""
    ends: frozenset[int] = frozenset()
    """Tokens that end the answer, besides those that end the model's texts."""
    ignores_ends: bool = False
    """Whether the answer goes on whatever it says, as far as it may: to measure speed."""
    schema: str | None = None
    """JSON schema that the answer must hold to, for an engine that `has_grammar`."""


class Made(NamedTuple):
    """A token of an answer."""

    id: int
    """In the vocabulary."""
    log_probability: float | None = None
    """Natural logarithm of the model's own probability, before temperature and top-p."""
    likeliest: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens in its place with their log probabilities, the best first."""
    text: str | None = None
    """What came with it, from an engine that speaks text itself."""


class Ended(NamedTuple):
    """No more tokens come."""

    reason: Literal["stop", "length", "cancelled"]
    """The model said the end, or there was no room for more, or nobody wanted more."""


class Failed(NamedTuple):
    """No more tokens come, for there was an error."""

    message: str
    """What happened."""


Event = Made | Ended | Failed


class Load(NamedTuple):
    """How much an engine has to do, and has done since it began."""

    running: int
    """Requests in slots."""
    waiting: int
    """Requests that wait for one."""
    num_slots: int
    """Requests that it can work on at once."""
    tokens_read: int
    """Of prompts."""
    tokens_made: int
    """Of answers."""
    steps: int
    """How often the model ran to make them."""


class Generation(ABC):
    """An answer in the making."""

    @abstractmethod
    def cancel(self) -> None:
        """Make no more tokens: the slot is free after the step that runs. Does not wait."""


class Engine(ABC):
    """A loaded model that answers many requests at once. All methods may be called by any thread.

    `receive` is called by the engine's own thread for every event of a request, the last of which
    is `Ended` or `Failed`: it must not block.
    """

    model: LanguageModel
    """What it runs; asked for sizes and checks alone."""
    has_grammar: bool = False
    """Whether it can hold an answer to a JSON schema."""

    @abstractmethod
    def submit(self, wanted: Wanted, receive: Callable[[Event], None]) -> Generation:
        """Begin an answer, as soon as there is a slot for it.

        Raises:
            ValueError: the prompt is empty, too long, or of another vocabulary.
            RuntimeError: the engine is closed.
        """

    @abstractmethod
    def load(self) -> Load:
        """Return what it does at this moment."""

    @abstractmethod
    def close(self) -> None:
        """End all answers with `Failed`, and free the memory."""

    def stream(self, wanted: Wanted) -> Iterator[Made]:
        """Yield the tokens of an answer; one that is not read to its end is cancelled.

        Raises:
            ValueError: as `submit`.
            RuntimeError: the model failed.
        """
        events = SimpleQueue[Event]()
        generation = self.submit(wanted, events.put)
        return _read(events, generation)


def _read(events: "SimpleQueue[Event]", generation: Generation) -> Iterator[Made]:
    try:
        while isinstance(event := events.get(), Made):
            yield event
    finally:
        generation.cancel()
    if isinstance(event, Failed):
        raise RuntimeError(event.message)
