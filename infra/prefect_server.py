"""`prefect server start`, with SQLite transactions that take their turn.

Prefect 3.8.8 begins them DEFERRED: each reads first, checks the parameters (50 ms for ours), and
writes at last, which SQLite refuses at once if another has written in between ("database is
locked"). Of N calls at the same time one is accepted and N - 1 are answered 503. Begun IMMEDIATE,
they wait for one another, and all are accepted.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


@asynccontextmanager
async def _begin_in_turn(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
    try:
        async with session.begin() as transaction:
            yield transaction
    finally:
        SQLITE_BEGIN_MODE.reset(token)


def main() -> None:
    """Start the server in this process; the arguments are those of `prefect server start`."""
    from prefect.cli import app

    AioSqliteConfiguration.begin_transaction = _begin_in_turn
    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
