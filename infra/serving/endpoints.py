"""`/v1/completions` and `/v1/chat/completions`: one request from its first byte to its last."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from starlette.types import Receive, Scope, Send

from components.lib.inference.generation import Wanted
from infra.serving import asked as read
from infra.serving.answering import Answers, Piece
from infra.serving.answers import ChatForm, CompletionForm, Form
from infra.serving.bodies import Gone, read_body
from infra.serving.models import ServedModel
from infra.serving.outcomes import Outcome, asked_too, with_nats
from infra.serving.protocol import ChatRequest, CompletionRequest, parsed
from infra.serving.refusals import Refusal
from infra.serving.service import Service
from infra.serving.streams import Wire

logger = logging.getLogger(__name__)

_LONG = 8192  # bytes of a body that is read in another thread, so that the streams go on
_GONE = 499  # what proxies call a client that closed the connection
_R = TypeVar("_R", CompletionRequest, ChatRequest)


class Endpoint(ABC, Generic[_R]):
    """Answers one kind of request."""

    kind: type[_R]
    route: str

    def __init__(self, service: Service) -> None:
        """Answer by the models of `service`."""
        self._service = service
        self._tasks = set[asyncio.Task[None]]()  # asyncio itself keeps none alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever comes."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        request = _Request(Wire(scope, receive, send, {}))
        try:
            with self._service.admission.request():
                client = self._service.keys.client(headers)
                body = await read_body(headers, receive, self._service.limits)
                await self._answer(request, client, body)
        except Gone:
            request.status = _GONE
        except Refusal as refusal:
            await request.refuse(refusal)
        except Exception:
            logger.exception("a request failed")
            await request.refuse(Refusal(500, "The server failed.", "internal_error"))
        finally:
            counted = (request.model, request.version, request.status)
            self._service.metrics.requested(self.route, *counted)

    async def _answer(self, request: "_Request", client: str, body: bytes) -> None:
        asked = await _in_thread_if_long(body, parsed, self.kind, body)
        name = self._service.models.known(asked.model)
        with self._service.models.borrowed(self._answerer(name, asked)) as model:
            request.model, request.version = model.found.name, model.found.version
            wanted = await _in_thread_if_long(body, self._wanted, asked, model)
            self._service.admission.check(model, len(wanted))
            form = self._form(asked, model, sum(len(w.prompt) for w in wanted) // asked.n)
            if self._service.shares.concerns(name):
                wanted = with_nats(wanted)
            answers = Answers(model, wanted, asked.stops)
            work = self._told(request.wire, asked, form, answers)
            outcome = Outcome(self._service, name, model.found, form, answers)
            with outcome.noted():
                await request.wire.until_gone(work, self._service.limits.answer_seconds)
        self._service.log.add(form.id, model.found.label, asked, answers.texts)
        for shadow in self._service.shares.shadows(name, asked.user):
            self._ask_too(shadow, name, asked, outcome)

    def _answerer(self, name: str, asked: _R) -> str:
        """Return who answers: `name`, or its canary if it is this request's turn and it is up."""
        canary = self._service.shares.canary(name, asked.user)
        return canary if canary is not None and self._service.models.has(canary) else name

    def _ask_too(self, shadow: str, name: str, asked: _R, outcome: "Outcome") -> None:
        """Have a shadow answer too, in the background; it waits for nobody."""
        if self._service.models.has(shadow):
            work = asked_too(outcome, shadow, name, asked, self._wanted)
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _told(self, wire: Wire, asked: _R, form: Form, answers: Answers) -> None:
        """Make the answers and send them."""
        async with aclosing(answers.pieces()) as pieces:
            if asked.stream:
                await wire.events(_chunks(form, answers, pieces, asked.tells_usage))
            else:
                found = [piece async for piece in pieces]
                await wire.whole(form.whole(answers, found))

    @abstractmethod
    def _wanted(self, asked: _R, model: ServedModel) -> list[Wanted]: ...

    @abstractmethod
    def _form(self, asked: _R, model: ServedModel, num_prompt_tokens: int) -> Form: ...


class Completions(Endpoint[CompletionRequest]):
    """Goes on with texts."""

    kind, route = CompletionRequest, "completions"

    def _wanted(self, asked: CompletionRequest, model: ServedModel) -> list[Wanted]:
        return read.of_completion(asked, model, self._service.limits)

    def _form(self, asked: CompletionRequest, model: ServedModel, num_prompt_tokens: int) -> Form:
        return CompletionForm(model, num_prompt_tokens, asked.logprobs is not None)


class Chat(Endpoint[ChatRequest]):
    """Answers dialogues."""

    kind, route = ChatRequest, "chat"

    def _wanted(self, asked: ChatRequest, model: ServedModel) -> list[Wanted]:
        return read.of_chat(asked, model, self._service.limits)

    def _form(self, asked: ChatRequest, model: ServedModel, num_prompt_tokens: int) -> Form:
        return ChatForm(model, num_prompt_tokens, asked.logprobs, bool(asked.schemas()))


class _Request:
    """How a request stands."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.status = 200
        self.model = self.version = ""

    async def refuse(self, refusal: Refusal) -> None:
        self.status = refusal.status
        if self.wire.is_begun:
            await self.wire.break_off(refusal)
        else:
            await self.wire.refuse_or_answer(refusal.response())


async def _chunks(
    form: Form, answers: Answers, pieces: AsyncGenerator[Piece], tells_usage: bool
) -> AsyncGenerator[dict[str, Any]]:
    is_first = True
    async for piece in pieces:
        if is_first:  # not before: a request that is refused by the engine gets a status
            is_first = False
            for chunk in form.first(len(answers.texts)):
                yield chunk
        for chunk in form.chunks(piece):
            yield chunk
    if tells_usage:
        yield form.last(answers)


async def _in_thread_if_long(body: bytes, function: Any, *given: Any) -> Any:
    """Call a function: of a long body in another thread, so that the other answers go on."""
    if len(body) < _LONG:
        return function(*given)
    return await asyncio.to_thread(function, *given)
