"""Register what `prefect.yaml` says with the server at PREFECT_API_URL.

`prefect deploy` would do it too, but at every start it resets what people set in the UI: default
parameters, concurrency limits, pauses. Here the file gives a new deployment all it says; of one
that exists it renews what the code owns (entrypoint, form of the parameters, description, tags) and
leaves the rest, and the schedules, as they are. Queues and automations that exist are left alone.
"""

import importlib
import inspect
import logging
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import yaml
from prefect import Flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.events.actions import RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL
from prefect.workers.process import ProcessWorker

from components.core.servers.calls import answer
from infra import registration
from infra.form import form
from infra.registration import FILE
from infra.services import POOL

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 120.0


def deploy(client: SyncPrefectClient) -> None:
    """Make the work pool, its queues, the deployments and the automations."""
    stated = yaml.safe_load(FILE.read_text("utf-8"))
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template)
        )
    except ObjectAlreadyExists:
        logger.debug("the work pool is there")
    for queue in stated["work_queues"]:
        try:
            client.create_work_queue(**queue, work_pool_name=POOL)
        except ObjectAlreadyExists:
            logger.debug("the queue %s is there", queue["name"])
    for entry in stated["deployments"]:
        _register(client, entry)
    _remove_old(client, {entry["entrypoint"] for entry in stated["deployments"]})
    for entry in stated["automations"]:
        _automate(client, entry)


def _remove_old(client: SyncPrefectClient, entrypoints: set[str]) -> None:
    """Remove the deployments of flows that an earlier version had: their runs would only crash."""
    for found in client.read_deployments():
        entrypoint = found.entrypoint or ""
        if entrypoint.startswith("flows.") and entrypoint not in entrypoints:
            logger.warning("%s is no longer there, and its deployment is removed", found.name)
            client.delete_deployment(found.id)


def _register(client: SyncPrefectClient, entry: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(
        entry["entrypoint"], use_placeholder_flow=False
    )
    owned: dict[str, Any] = {
        "entrypoint": entry["entrypoint"],
        "description": entry.get("description") or inspect.getdoc(flow.fn),
        "tags": entry["tags"],
        "parameter_openapi_schema": form(flow),
    }
    try:
        found = client.read_deployment_by_name(f"{flow.name}/{entry['name']}")
    except ObjectNotFound:
        client.create_deployment(
            flow_id=client.create_flow(flow),
            name=entry["name"],
            work_pool_name=entry["work_pool"]["name"],
            work_queue_name=entry["work_pool"]["work_queue_name"],
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


def _automate(client: SyncPrefectClient, entry: dict[str, Any]) -> None:
    """Make an automation, switched off, unless there is one of this name."""
    if client.read_automations_by_name(entry["name"]):
        return
    trigger = EventTrigger(
        expect=set(entry["events"]),
        match_related=ResourceSpecification(entry.get("match_related", {})),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    client.create_automation(
        AutomationCore(
            name=entry["name"],
            description=entry["description"],
            enabled=False,
            trigger=trigger,
            actions=[_run(client, entry["run"]) if "run" in entry else _notify(client, entry)],
        )
    )


def _run(client: SyncPrefectClient, name: str) -> RunDeployment:
    """Return what starts a deployment with its default parameters."""
    return RunDeployment(
        source="selected",
        deployment_id=client.read_deployment_by_name(f"{name}/{name}").id,
        parameters=None,
        job_variables=None,
    )


def _notify(client: SyncPrefectClient, entry: dict[str, Any]) -> SendNotification:
    """Return what sends a notice by a block, made to be given an address unless it is there.

    Prefect has no automation that sends one without a block.
    """
    name = entry["notify"]
    kind = CustomWebhookNotificationBlock
    try:
        block = client.read_block_document_by_name(name, kind.get_block_type_slug()).id
    except ObjectNotFound:
        made = kind(
            name=name,
            url=entry["url"],
            json_data={"text": "{{subject}}\n{{body}}"},
            headers=None,
            cookies=None,
        )
        block = UUID(str(made.save(name)))
    return SendNotification(block_document_id=block, subject=entry["subject"], body=entry["body"])


def _wait_for_server() -> None:
    """Return once the server answers, or soon anyway: the first call then says what is wrong."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while answer(f"{PREFECT_API_URL.value()}/health") is None and time.monotonic() < deadline:
        time.sleep(0.2)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    importlib.import_module("flows.pipeline")  # seconds, while the server starts
    _wait_for_server()
    with get_client(sync_client=True) as session:
        deploy(session)
    registration.note()
