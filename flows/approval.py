"""A human's word before a model is released: the run waits in the Prefect UI with a form."""

import time
from typing import Any, Literal, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_paused_state
from prefect.runtime import deployment, flow_run
from prefect.settings import get_current_settings
from prefect.states import Paused
from prefect.utilities.engine import propose_state_sync
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


def decide(approval: Approval, question: str, comparison: str) -> Decision | None:
    """Wait for a person's decision; None if nobody answers in time.

    The run's state says the `question` and how to answer it; its form has the `comparison`
    (Markdown) above. A run of a deployment is suspended: it ends, frees its worker, and is run anew
    once there is an answer, when every step before it is cached. Any other waits where it is.
    """
    say_waiting("approval", flow_run_url(flow_run.id or ""))
    is_deployed = deployment.id is not None
    state = Paused(
        name="Suspended" if is_deployed else "Paused",
        message=_message(approval, question),
        timeout_seconds=int(approval.timeout_hours * 3600),
        reschedule=is_deployed,
        pause_key="release",
    )
    return _answer(Decision.with_initial_data(description=comparison), state)


def _message(approval: Approval, question: str) -> str:
    return (
        f"{question} Press Resume, at the top of this page or in its menu, and answer: approve or "
        "reject, and who you are. Whoever can open this page may answer, once. Without an answer "
        f"in {approval.timeout_hours:g} hours it is not released."
    )


def _answer(form: type[Decision], state: State[Any]) -> Decision | None:
    """Return what people answered, once they have.

    As Prefect's `pause_flow_run` and `suspend_flow_run` do it, which let the state say nothing.
    """
    keys = keyset_from_paused_state(state)
    state.state_details.run_input_keyset = {str(part): name for part, name in keys.items()}
    run = UUID(str(flow_run.id))
    deadline = state.state_details.pause_timeout
    assert deadline is not None
    with get_client(sync_client=True) as client:
        held = propose_state_sync(client, state, flow_run_id=run)
        if held.is_running():  # it was answered before this run was run anew
            return cast(Decision, form.load(keys))
        form.save(keys)
        if state.state_details.pause_reschedule:
            raise Pause(state=held)
        while time.time() < deadline.timestamp():
            time.sleep(min(_LOOK_EVERY_SECONDS, max(0.1, deadline.timestamp() - time.time())))
            now = client.read_flow_run(run).state
            if now is not None and now.is_running():
                return cast(Decision, form.load(keys))
    return None
