"""The routes of a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from components.core.servers.access import browser_hosts
from components.lib.inference.serving_scores import read_scores, summaries
from infra.serving.bodies import read_body
from infra.serving.endpoints import Chat, Completions
from infra.serving.protocol import Feedback, parsed
from infra.serving.refusals import Refusal
from infra.serving.service import Service

_Handler = Callable[[Request], Awaitable[Response]]


def create_app(service: Service) -> Starlette:
    """Return the application that answers for `service`."""
    pages = _Pages(service)
    routes = [
        Route("/v1/completions", Completions(service), methods=["POST"]),
        Route("/v1/chat/completions", Chat(service), methods=["POST"]),
        Route("/v1/models", pages.keyed(pages.models)),
        Route("/v1/models/{name:path}", pages.keyed(pages.model)),
        Route("/v1/feedback", pages.keyed(pages.feedback), methods=["POST"]),
        Route("/v1/scores", pages.keyed(pages.scores)),
        Route("/metrics", pages.keyed(pages.metrics)),
        Route("/health", pages.health),
    ]
    # a page in a browser that gives its own name this address is sent away, as keys would do
    hosts = ["*"] if len(service.keys) else [*browser_hosts(), "[::1]"]
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    return Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={Refusal: _refused, HTTPException: _no_such_page},
    )


class _Pages:
    """What is asked about the server itself."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def keyed(self, handler: _Handler) -> _Handler:
        """Return a handler that asks for a key first."""

        async def checked(request: Request) -> Response:
            self._service.keys.client(dict(request.scope["headers"]))
            return await handler(request)

        return checked

    async def models(self, request: Request) -> Response:
        rows = [self._row(name) for name in self._service.models.names()]
        return JSONResponse({"object": "list", "data": rows})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._service.models.names():
            raise Refusal(404, f"There is no model {name!r} here.", "model_not_found", "model")
        return JSONResponse(self._row(name))

    async def feedback(self, request: Request) -> Response:
        """Keep the score that a client gives to an answer by its id."""
        headers = dict(request.scope["headers"])
        body = await read_body(headers, request.receive, self._service.limits)
        judged = parsed(Feedback, body)
        if not self._service.shares.judged(judged.id, judged.score):
            raise Refusal(404, f"No answer {judged.id!r} is known.", "answer_not_found", "id")
        return JSONResponse({"object": "feedback", "id": judged.id})

    async def scores(self, request: Request) -> Response:
        """Return what is known of each version in each role."""
        name = request.query_params.get("model")
        rows = await asyncio.to_thread(lambda: summaries(read_scores(name)))
        data = [row.model_dump(mode="json") for row in rows]
        return JSONResponse({"object": "list", "data": data})

    async def metrics(self, request: Request) -> Response:
        return Response(self._service.metrics.page(), media_type="text/plain; version=0.0.4")

    async def health(self, request: Request) -> Response:
        """Return 200 if every model is served, 503 if one is not."""
        troubles, needed = self._service.models.troubles(), self._service.models.needed()
        loaded = {each.found.name: each.found.version for each in self._service.models.loaded()}
        rows = {
            name: {"is_served": name in loaded, "version": loaded.get(name, "")}
            for name in self._service.models.names()
        }
        for name, trouble in troubles.items():
            rows[name]["trouble"] = trouble
        is_well = all(name in loaded for name in needed)
        body = {"status": "ok" if is_well else "degraded", "models": rows}
        return JSONResponse(body, 200 if is_well else 503)

    def _row(self, name: str) -> dict[str, Any]:
        found = {each.found.name: each for each in self._service.models.loaded()}
        row = {"id": name, "object": "model", "created": 0, "owned_by": "bloomery"}
        if (model := found.get(name)) is not None:
            row["version"] = model.found.version
            row["max_model_len"] = model.engine.model.context_length
        return row


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    return Refusal(error.status_code, f"{where}: {error.detail}.").response()
