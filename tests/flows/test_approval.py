"""Approval: a run waits with a form, goes on with the answer, and takes silence for a no."""

import logging
import re
import threading
import time
from collections.abc import Iterator

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.flow_runs import resume_flow_run
from prefect.testing.utilities import prefect_test_harness

from flows import approval
from flows.approval import Approval, Decision, decide, require_answerable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@flow
def ask(name: str, hours: float) -> str:
    approval = Approval(ask=True, timeout_hours=hours)
    answer = decide(approval, "Release this model as otter?", "| accuracy | 90 % |")
    return "nobody answered" if answer is None else f"{answer.decision} by {answer.name}"


def _paused(name: str):
    wanted = FlowRunFilter(state={"type": {"any_": ["PAUSED"]}})
    deadline = time.monotonic() + 120
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            for run in client.read_flow_runs(flow_run_filter=wanted):
                if run.parameters["name"] == name:
                    return run
            time.sleep(0.2)
    raise AssertionError("no run waits")


def test_without_a_server_to_answer_in_it_is_an_error_with_the_remedy():
    with pytest.raises(ValueError, match=r"approval\.ask.*bloomery up"):
        require_answerable(Approval(ask=True))
    require_answerable(Approval(ask=False))


def test_a_run_waits_with_a_form_and_goes_on_with_the_answer(server, monkeypatch):
    monkeypatch.setattr(approval, "_LOOK_EVERY_SECONDS", 1)
    answers: list[str] = []
    worker = threading.Thread(target=lambda: answers.append(ask("otter", 1.0)))
    worker.start()
    run = _paused("otter")
    with get_client(sync_client=True) as client:
        keys = run.state.state_details.run_input_keyset
        form = client.read_flow_run_input(run.id, keys["schema"])
        description = client.read_flow_run_input(run.id, keys["description"])
    said = run.state.message
    for part in ("Release this model as otter?", "Press Resume", "approve or reject", "1 hours"):
        assert part in said, "the page does not say what is asked, and where"
    assert '"approve"' in form
    assert "accuracy | 90 %" in description
    with pytest.raises(RuntimeError, match="name"):
        resume_flow_run(run.id, {"decision": "approve", "name": ""})
    resume_flow_run(run.id, {"decision": "approve", "name": "Ada", "comment": "good"})
    worker.join(60)
    assert answers == ["approve by Ada"]


def test_silence_is_a_no(server, monkeypatch, caplog):
    monkeypatch.setattr(approval, "_LOOK_EVERY_SECONDS", 1)
    with caplog.at_level(logging.INFO, "flows.progress"):
        assert ask("heron", 2 / 3600) == "nobody answered"
    assert re.search(r"approval +waits for you: http://.*/runs/flow-run/[0-9a-f-]{36}", caplog.text)


def test_the_form_rejects_unless_somebody_says_otherwise():
    assert Decision(name="Ada").decision == "reject"
