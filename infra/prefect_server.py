"""`prefect server start` that knows our recipes, and whose SQLite transactions take their turn.

Prefect 3.8.8 begins them DEFERRED: each reads first, checks the parameters (50 ms for ours), and
writes at last, which SQLite refuses at once if another has written in between ("database is
locked"). Of N calls at the same time one is accepted and N - 1 are answered 503. Here they wait for
one another, first come, first served, and begin IMMEDIATE: all are accepted.

It also takes a change to a schedule that says nothing of the parameters, as the switch in the UI
sends it, for one without parameters: switched off and on, a schedule of `smoke` would run `tiny`.
Here what is not said stays.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.schemas.actions import DeploymentScheduleUpdate
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

from infra import refusal

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


def keep_what_is_not_said() -> None:
    """Have a change to a schedule keep the parameters unless it says others."""
    dump = DeploymentScheduleUpdate.model_dump

    def what_is_said(self: DeploymentScheduleUpdate, **options: Any) -> dict[str, Any]:
        unsaid = {"parameters"} - self.model_fields_set
        options["exclude"] = {*options.get("exclude", ()), *unsaid}
        return dump(self, **options)

    DeploymentScheduleUpdate.model_dump = what_is_said


def main() -> None:
    """Start the server in this process; the arguments are those of `prefect server start`."""
    from prefect.cli import app

    AioSqliteConfiguration.begin_transaction = _begin_in_turn
    keep_what_is_not_said()
    refusal.teach()
    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
