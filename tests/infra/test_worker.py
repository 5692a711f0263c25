"""A worker leaves a cancelled run that has said itself how it ended."""

import asyncio
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.runner._state_proposer import StateProposer
from prefect.states import Cancelled, Cancelling, Running

from infra import worker


class Server:
    """What Prefect's client is asked, over a run in one state."""

    def __init__(self, state: State) -> None:
        """Begin in `state`."""
        self.run = FlowRun(id=uuid4(), flow_id=uuid4(), state=state)

    async def read_flow_run(self, run_id: UUID) -> FlowRun:
        """Return the run."""
        assert run_id == self.run.id
        return self.run

    async def set_flow_run_state(self, run_id: UUID, state: State, force: bool) -> None:
        """Write over its state."""
        assert force
        self.run = self.run.model_copy(update={"state": state})


@pytest.mark.parametrize(
    ("last", "ends"),
    [
        (Cancelled(name="Preempted", message="after step 7"), ("Preempted", "after step 7")),
        (Cancelling(), ("Cancelled", "the worker's")),  # it was killed
        (Running(), ("Cancelled", "the worker's")),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_last_word_of_a_run_stays_and_one_without_gets_the_worker_s(
    last: State, ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StateProposer, "propose_cancelled", StateProposer.propose_cancelled)
    worker.keep_last_words()
    server = Server(last)
    told = server.run.model_copy(update={"state": Cancelling()})  # as the worker has read it
    proposer = StateProposer(client=server)
    updates = {"message": "the worker's"}
    assert asyncio.run(proposer.propose_cancelled(told, updates))
    state = server.run.state
    assert (state.name, state.message) == ends
