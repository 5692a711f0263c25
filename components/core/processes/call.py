"""A function that another process is to run, and how that ended: what every such process answers.

A driver answers with a file, a driver that is kept with a line on a socket, a rank of a group with
a file of its own, a Ray worker with an exception. What they say is an `Outcome`.
"""

import importlib
import logging
import traceback
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from components.core.artifacts.base import Frozen
from components.core.processes.preemption import Preempted

logger = logging.getLogger(__name__)

TAIL_LINES = 15


class Call(Frozen):
    """A function of a module, and what it is given."""

    target: str = Field(pattern=r"^[\w.]+:\w+$")
    """`package.module:function`."""
    payload: dict[str, Any]
    """Its one argument: JSON values."""


class Done(Frozen):
    """The function returned."""

    kind: Literal["done"] = "done"
    """Tells the outcomes apart in JSON."""


class Mendable(Frozen):
    """The function refused what it was given; the same call is refused again."""

    kind: Literal["mendable"] = "mendable"
    """Tells the outcomes apart in JSON."""
    message: str
    """What a user can mend, and how."""


class PreemptedAfter(Frozen):
    """The process was told to leave; the same call goes on from there."""

    kind: Literal["preempted"] = "preempted"
    """Tells the outcomes apart in JSON."""
    step: int | None
    """The step whose checkpoint was saved; None if there is none."""


class Failed(Frozen):
    """The function broke down, or its process died."""

    kind: Literal["failed"] = "failed"
    """Tells the outcomes apart in JSON."""
    reason: str
    """What happened, in a sentence."""
    tail: str = ""
    """The last lines of the traceback or of the output."""


Outcome = Annotated[Done | Mendable | PreemptedAfter | Failed, Field(discriminator="kind")]

_OUTCOME = TypeAdapter[Done | Mendable | PreemptedAfter | Failed](Outcome)


def outcome_of(text: str) -> Outcome:
    """Return the outcome that was written as JSON."""
    return _OUTCOME.validate_json(text)


def perform(call: Call) -> Outcome:
    """Do the call in this process and return how it ended; only an interruption passes through."""
    try:
        _function(call.target)(call.payload)
    except ValueError as error:
        logger.debug("%s refuses", call.target, exc_info=True)
        return Mendable(message=str(error))
    except Preempted as notice:
        return PreemptedAfter(step=notice.step)
    except Exception as error:
        logger.exception("%s failed", call.target)
        lines = "".join(traceback.format_exception(error)).splitlines(keepends=True)
        return Failed(
            reason=f"{call.target} failed. Its last lines:", tail="".join(lines[-TAIL_LINES:])
        )
    return Done()


def raise_unless_done(outcome: Outcome) -> None:
    """Raise what an outcome says.

    Raises:
        ValueError: a user can mend it.
        Preempted: the process left when it was told to.
        RuntimeError: it failed otherwise; the message has the last lines.
    """
    match outcome:
        case Done():
            return
        case Mendable(message=message):
            raise ValueError(message)
        case PreemptedAfter(step=step):
            raise Preempted(step)
        case Failed(reason=reason, tail=tail):
            raise RuntimeError(f"{reason}\n{tail}" if tail else reason)


def _function(target: str) -> Callable[[dict[str, Any]], None]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
