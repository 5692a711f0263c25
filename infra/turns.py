"""The SQLite transactions of a Prefect server take their turn.

Prefect 3.8.8 begins them DEFERRED: each reads first, checks the parameters (50 ms for ours), and
writes at last, which SQLite refuses at once if another has written in between ("database is
locked"). Of N calls at the same time one is accepted and N - 1 are answered 503. Here they wait for
one another, first come, first served, and begin IMMEDIATE: all are accepted.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_turns = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()
_has_turn: ContextVar[bool] = ContextVar("_has_turn", default=False)


@asynccontextmanager
async def _begin_in_turn(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    if _has_turn.get():  # one transaction inside another, as Prefect has it
        async with _begin(session, "IMMEDIATE" if with_for_update else "DEFERRED") as transaction:
            yield transaction
        return
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        token = _has_turn.set(True)
        try:
            async with _begin(session, "IMMEDIATE") as transaction:
                yield transaction
        finally:
            _has_turn.reset(token)


@asynccontextmanager
async def _begin(session: AsyncSession, mode: str) -> AsyncGenerator[AsyncSessionTransaction, None]:
    token = SQLITE_BEGIN_MODE.set(mode)
    try:
        async with session.begin() as transaction:
            yield transaction
    finally:
        SQLITE_BEGIN_MODE.reset(token)


def take() -> None:
    """Have Prefect's transactions take their turn, in this process."""
    AioSqliteConfiguration.begin_transaction = _begin_in_turn
