"""What came of a request: counted, scored, and held against what a shadow would have said."""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from components.lib.inference.generation import Wanted
from infra.serving.answering import Answers
from infra.serving.answers import Form
from infra.serving.bodies import Gone
from infra.serving.found import Found
from infra.serving.models import ServedModel
from infra.serving.protocol import ChatRequest, CompletionRequest
from infra.serving.refusals import Refusal
from infra.serving.service import Service
from infra.serving.shares import agreement, scored

logger = logging.getLogger(__name__)


class Outcome:
    """The answers of a request, as metrics and scores see them."""

    def __init__(
        self, service: Service, name: str, found: Found, form: Form, answers: Answers
    ) -> None:
        """Note in `service` what comes of `answers`, which a model gives for `name`."""
        self.service, self.name, self.found = service, name, found
        self.id, self.answers = form.id, answers
        self._num_prompt_tokens = form.num_prompt_tokens

    @contextmanager
    def noted(self) -> Generator[None]:
        """Note what came of the block, which gives the answers."""
        is_error = False
        try:
            yield
        except Gone:
            raise
        except Exception as error:
            is_error = not isinstance(error, Refusal) or error.status >= 500
            raise
        finally:
            timing = self.answers.timing()
            self.service.admission.answered(time.monotonic() - timing.began)
            named = (self.found.name, self.found.version)
            self.service.metrics.answered(*named, self._num_prompt_tokens, timing)
            role = "main" if self.found.name == self.name else "canary"
            given = (self.id, self.name, self.found, role, self.answers, is_error)
            self.service.shares.answered(*given)


def with_nats(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return what is wanted, with the log probability of every token."""
    return [
        each if each.num_likeliest is not None else each._replace(num_likeliest=0)
        for each in wanted
    ]


async def asked_too(
    outcome: Outcome,
    shadow: str,
    name: str,
    asked: CompletionRequest | ChatRequest,
    read: Callable[[Any, ServedModel], list[Wanted]],
) -> None:
    """Have a shadow answer what `name` was asked, if it has a free slot, and keep its score."""
    try:
        with outcome.service.models.borrowed(shadow) as model:
            wanted = with_nats(read(asked, model))
            load = model.engine.load()
            if load.waiting or load.running + len(wanted) > load.num_slots:
                return
            answers, is_error = Answers(model, wanted, asked.stops), False
            try:
                async with aclosing(answers.pieces()) as pieces:
                    async for _ in pieces:
                        pass
            except Refusal:
                is_error = True
            row = scored(outcome.id, name, model.found, "shadow", answers, is_error)
            if not is_error and (asked.temperature == 0 or asked.seed is not None):
                same = agreement(outcome.answers.texts, answers.texts)
                row = row.model_copy(update={"agreement": same})
            outcome.service.shares.add(row)
    except Exception:  # nobody waits for a shadow
        logger.exception("the shadow %s was not asked", shadow)
