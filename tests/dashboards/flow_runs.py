"""Flow runs as Prefect keeps them: ended, failed, served from cache, and planned."""

from datetime import UTC, datetime, timedelta

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry, Completed, Running, Scheduled

from components.core.artifacts.base import Frozen

STEPS = ("data.take_documents", "data.clean", "pretrain.train", "evals.probe", "finetune.sft")


class Thing(Frozen):
    """What a step makes."""

    name: str = "thing"


@task(cache_policy=NO_CACHE, persist_result=False)
def _make(thing: Thing, is_cached: bool, fails: bool):
    if fails:
        raise ValueError("a planted failure")
    return Completed(name="Cached", data=thing) if is_cached else thing


@flow
def pipeline(is_cached: bool = False, fails: bool = False) -> None:
    thing = Thing()
    for name in STEPS:
        does_fail = fails and name == STEPS[-1]
        made = _make.with_options(name=name)(thing, is_cached, does_fail, return_state=True)
        thing = made.result()


def ran(name: str, is_cached: bool = False, fails: bool = False) -> str:
    """Run the steps and return the id of the flow run."""
    run = pipeline.with_options(flow_run_name=name)
    state = run(is_cached=is_cached, fails=fails, return_state=True)
    return str(state.state_details.flow_run_id)


def ended(number: int) -> None:
    """Leave runs that have ended, without steps."""
    with get_client(sync_client=True) as client:
        for place in range(number):
            run = client.create_flow_run(pipeline, name=f"ended-{place}", state=Running())
            client.set_flow_run_state(run.id, Completed(), force=True)


def planned(name: str, hours: float) -> None:
    """Leave a run that is to begin in some hours."""
    due = datetime.now(UTC) + timedelta(hours=hours)
    with get_client(sync_client=True) as client:
        client.create_flow_run(pipeline, name=name, state=Scheduled(scheduled_time=due))


def retried(name: str) -> None:
    """Leave a run that has begun and waits to be tried again."""
    due = datetime.now(UTC) + timedelta(hours=1)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(pipeline, name=name, state=Running())
        client.set_flow_run_state(run.id, Running(), force=True)
        client.set_flow_run_state(run.id, AwaitingRetry(scheduled_time=due), force=True)


def forget(name: str = "") -> None:
    """Forget the runs of this name, or all."""
    with get_client(sync_client=True) as client:
        while found := [run for run in client.read_flow_runs() if name in ("", run.name)]:
            for run in found:
                client.delete_flow_run(run.id)
