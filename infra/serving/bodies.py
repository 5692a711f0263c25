"""Bodies of requests, read within limits of size and time; and clients that went away."""

import asyncio
from collections.abc import Mapping

from starlette.types import Receive

from infra.serving.options import Limits
from infra.serving.refusals import Refusal


class Gone(Exception):
    """The client has closed the connection: there is nobody to answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """Return the body of a request.

    Raises:
        Refusal: it is larger than the limit, said or not, or does not come in time.
        Gone: the client went away.
    """
    said = headers.get(b"content-length", b"0")
    if not said.isdigit() or int(said) > limits.max_body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(receive, limits)
    except TimeoutError:
        raise Refusal(
            408, f"The body did not come within {limits.body_seconds:g} seconds.", "slow_body"
        ) from None


async def _read(receive: Receive, limits: Limits) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limits.max_body_bytes:
            raise _too_large(limits)
        if not message.get("more_body", False):
            return bytes(body)


async def gone(receive: Receive) -> None:
    """Return when the client goes away, after its body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_large(limits: Limits) -> Refusal:
    return Refusal(
        413, f"The body is larger than {limits.max_body_bytes:,} bytes.", "body_too_large"
    )
