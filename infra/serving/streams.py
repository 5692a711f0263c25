"""Answers on the wire: whole or as server-sent events, until the client goes or time is up."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from infra.serving.bodies import Gone, gone
from infra.serving.connections import TRANSPORT
from infra.serving.refusals import Refusal

_GRACE = 2.0  # seconds in which a client may take the word that its time is up
_T = TypeVar("_T")


class Wire:
    """One request's connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        """Answer with these headers, besides what each answer needs."""
        self._scope, self._receive, self._send = scope, receive, send
        self._headers = headers
        self.is_begun = False
        """Whether the client was told a status."""

    async def until_gone(self, work: Coroutine[Any, Any, _T], seconds: float) -> _T:
        """Return what `work` returns; cancel it when the client goes, or time is up.

        Raises:
            Gone: the client went away, or takes nothing.
            Refusal: the time is up.
        """
        task = asyncio.ensure_future(work)
        watch = asyncio.ensure_future(gone(self._receive))
        try:
            await asyncio.wait({task, watch}, timeout=seconds, return_when="FIRST_COMPLETED")
            if task.done():
                return task.result()
            if watch.done():
                raise Gone
            raise Refusal(504, f"The answer took more than {seconds:g} seconds.", "too_slow")
        finally:
            for each in (task, watch):
                each.cancel()
            await asyncio.gather(task, watch, return_exceptions=True)

    async def whole(self, body: dict[str, Any]) -> None:
        """Send an answer at once."""
        await self.refuse_or_answer(JSONResponse(body, headers=self._headers))

    async def refuse_or_answer(self, response: JSONResponse) -> None:
        """Send a response at once."""
        self.is_begun = True
        await response(self._scope, self._receive, self._send)

    async def events(self, chunks: AsyncIterator[dict[str, Any]]) -> None:
        """Send chunks as they come, each when the client has taken those before."""
        async for chunk in chunks:
            await self._event(json.dumps(chunk, ensure_ascii=False))
        await self._event("[DONE]")
        await self._send({"type": "http.response.body", "body": b""})

    async def break_off(self, refusal: Refusal) -> None:
        """Say in a stream that it ends early, and why; a client that takes nothing is cut off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._event(json.dumps(refusal.body()))
                await self._send({"type": "http.response.body", "body": b""})
                return
        transport = self._scope["state"].get(TRANSPORT)
        if transport is not None:
            transport.abort()

    async def _event(self, data: str) -> None:
        if not self.is_begun:
            self.is_begun = True
            headers = {"content-type": "text/event-stream", "cache-control": "no-cache"}
            pairs = [(k.encode(), v.encode()) for k, v in {**headers, **self._headers}.items()]
            await self._send({"type": "http.response.start", "status": 200, "headers": pairs})
        body = f"data: {data}\n\n".encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
