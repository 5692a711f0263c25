"""Connections that ask for nothing, or take no answer, are closed."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORT = "transport"
"""Under which `scope["state"]` has the connection of a request."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose first request must begin soon.

    uvicorn closes a connection that is idle after an answer, but waits for ever for a first
    request, and for the rest of one whose headers are not whole.
    """

    _opening: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}
        self._opening = self.loop.call_later(self.timeout_keep_alive, self._close_unless_asked)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._opening is not None:
            self._opening.cancel()
        super().connection_lost(exc)

    def _close_unless_asked(self) -> None:
        cycle: Any = self.cycle
        if cycle is None and not self.transport.is_closing():
            self.transport.close()
