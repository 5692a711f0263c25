"""A human's word before a model is released: the run waits in the Prefect UI with a form."""

from typing import Literal

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from prefect.settings import get_current_settings
from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.servers.endpoints import flow_run_url
from flows.progress import say_waiting

_LOOK_EVERY_SECONDS = 5


class Approval(Frozen):
    """Whether a person is asked before a release."""

    ask: bool = False
    """Whether the run waits for an answer in the Prefect UI once the gate has passed."""
    timeout_hours: float = Field(default=24.0, gt=0)
    """After this time without an answer the model is not released."""


class Decision(RunInput):
    """The answer that the Prefect UI asks for."""

    decision: Literal["approve", "reject"] = "reject"
    """Whether to release the model."""
    name: str = Field(min_length=1)
    """Who decides; it is written to the registered model."""
    comment: str = ""
    """Why."""


def require_answerable(approval: Approval) -> None:
    """Raise ValueError if a person will be asked, and no server runs to answer in."""
    if approval.ask and get_current_settings().api.url is None:  # a server of this process alone
        raise ValueError(
            "The recipe asks for an approval (approval.ask), which is given in the Prefect UI. "
            "Start it with `bloomery up`, or run with --set approval.ask=false."
        )


def decide(approval: Approval, scorecard: str) -> Decision | None:
    """Wait for a person's decision on the scorecard (Markdown); None if nobody answers in time.

    A run of a deployment is suspended: it ends, frees its worker, and is run anew once there is an
    answer, when every step before it is cached. Any other waits where it is.
    """
    form = Decision.with_initial_data(description=scorecard)
    seconds = int(approval.timeout_hours * 3600)
    say_waiting("approval", flow_run_url(flow_run.id or ""))
    try:
        if deployment.id:
            return suspend_flow_run(form, timeout=seconds, key="release")
        return pause_flow_run(form, seconds, _LOOK_EVERY_SECONDS, key="release")
    except FlowPauseTimeout:
        return None
