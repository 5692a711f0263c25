"""Talk to a model through the engine that serves it: several people at once, a slot each."""

import math
import weakref
from collections.abc import Iterator
from pathlib import Path

from components.lib.inference.conversation import Chosen, Conversation
from components.lib.inference.engines import open_engine
from components.lib.inference.generation import Wanted
from components.lib.inference.sampling import Sampling
from components.lib.text.chat_tokenizer import ChatTokenizer


class BatchedConversation(Conversation):
    """A conversation whose answers come of a batching engine, which ends with it."""

    def __init__(self, folder: Path, num_threads: int, num_slots: int = 4) -> None:
        """Load the export in `folder`.

        Raises:
            ValueError: there is none, or it is damaged.
        """
        self._tokenizer = ChatTokenizer(folder)
        self._engine = open_engine(folder, num_slots, num_threads)
        self.model = self._engine.model
        weakref.finalize(self, self._engine.close)

    def stream(
        self, ids: list[int], sampling: Sampling, num_likeliest: int = 5
    ) -> Iterator[Chosen]:
        """Yield the tokens after `ids` one by one, without the end-of-text token.

        Raises:
            ValueError: `ids` are none, or leave no room in the context.
            RuntimeError: the model failed.
        """
        end = self._tokenizer.end_id
        ends = frozenset() if end is None else frozenset([end])
        made = self._engine.stream(Wanted(ids, sampling, num_likeliest, ends))
        decode = self._tokenizer.decode
        return (
            Chosen(
                each.id,
                decode([each.id]),
                math.exp(each.log_probability or 0.0),
                tuple((decode([token]), math.exp(log)) for token, log in each.likeliest),
            )
            for each in made
        )
