"""Register the deployments of `prefect.yaml` with the server at PREFECT_API_URL.

`prefect deploy` would do it too, but at every start it resets what people set in the UI: default
parameters, concurrency limits, pauses. Here the file gives a new deployment all it says; of one
that exists it renews what the code owns (entrypoint, form of the parameters, description, tags) and
leaves the rest, and the schedules, as they are.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Cancelled, Crashed
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from components.core import tracking
from infra.stack import POOL

logger = logging.getLogger(__name__)

FILE = Path(__file__).with_name("prefect.yaml")


def deploy(client: SyncPrefectClient) -> None:
    """Make the work pool and the deployments, and end the runs that a stopped worker has left."""
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=template)
    try:
        client.create_work_pool(pool)
    except ObjectAlreadyExists:
        end_lost_runs(client)
    for entry in yaml.safe_load(FILE.read_text("utf-8"))["deployments"]:
        _register(client, entry)


def _register(client: SyncPrefectClient, entry: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(
        entry["entrypoint"], use_placeholder_flow=False
    )
    owned: dict[str, Any] = {
        "entrypoint": entry["entrypoint"],
        "description": entry["description"],
        "tags": entry["tags"],
        "parameter_openapi_schema": parameter_schema(flow).model_dump_for_openapi(),
    }
    try:
        found = client.read_deployment_by_name(f"{flow.name}/{entry['name']}")
    except ObjectNotFound:
        client.create_deployment(
            flow_id=client.create_flow(flow),
            name=entry["name"],
            work_pool_name=entry["work_pool"]["name"],
            concurrency_limit=entry["concurrency_limit"],
            enforce_parameter_schema=True,
            pull_steps=[],
            **owned,
        )
        return
    try:
        client.update_deployment(found.id, DeploymentUpdate(**owned))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != 409:
            raise
        logger.warning("%s: default parameters reset: %s", entry["name"], error.response.text)
        client.update_deployment(found.id, DeploymentUpdate(**owned, parameters={}))


def end_lost_runs(client: SyncPrefectClient) -> None:
    """End what is still called running although the worker of this machine is not up.

    Such a run would keep its deployment's only concurrency slot for ever.
    """
    lost = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    deployed = {"state": lost, "deployment_id": {"is_null_": False}}
    message = "The worker was killed during this run. Retry goes on from the last checkpoint."
    for run in _with_subflows(client, FlowRunFilter.model_validate(deployed), lost):
        cancelling = run.state is not None and run.state.is_cancelling()
        state = Cancelled(message=message) if cancelling else Crashed(message=message)
        client.set_flow_run_state(run.id, state, force=True)
        _end_in_mlflow(run)
        logger.warning("%s: %s", run.name, message)


def _end_in_mlflow(run: FlowRun) -> None:
    mlflow = tracking.client()
    query = f"tags.flow_run_id = '{run.id}' and attributes.status = 'RUNNING'"
    for found in mlflow.search_runs([tracking.experiment_id(mlflow)], query):
        mlflow.set_terminated(found.info.run_id, status="KILLED")


def _with_subflows(
    client: SyncPrefectClient, wanted: FlowRunFilter, lost: dict[str, Any]
) -> Iterator[FlowRun]:
    for run in client.read_flow_runs(flow_run_filter=wanted):
        yield run
        children = {"state": lost, "parent_flow_run_id": {"any_": [run.id]}}
        yield from _with_subflows(client, FlowRunFilter.model_validate(children), lost)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with get_client(sync_client=True) as session:
        deploy(session)
