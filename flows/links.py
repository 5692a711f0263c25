"""Links from a run's page in Prefect to its page in MLflow; the tracker makes those back."""

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from components.core.servers.endpoints import flow_run_url, mlflow_run_url
from components.core.tracking import shipping
from components.core.tracking.client import client
from components.core.tracking.views import pretrainings_url

logger = logging.getLogger(__name__)

_linked = set[str]()  # MLflow runs of whole flow runs


def artifact_key(name: str) -> str:
    """Return a name as Prefect takes it for an artifact: lowercase letters, numbers and dashes."""
    return name.replace(".", "-").replace("_", "-")


def artifact_url(artifact: UUID) -> str:
    """Return where people see an artifact in Prefect."""
    prefect, _, _ = flow_run_url("").partition("/runs/")
    return f"{prefect}/artifacts/artifact/{artifact}"


def link_to_mlflow(name: str, out: Path, flow_run: str, task_run: str) -> bool:
    """Link a task run and the outermost flow run to their MLflow runs; return whether it is done.

    `out` is the folder of the step, whose shipment knows them once they are open.
    """
    shipment = shipping.load(out)
    if shipment is None or shipment.run_id is None or shipment.parent is None:
        return False
    owner = {"flow_run_id": UUID(flow_run), "task_run_id": UUID(task_run)}
    try:
        _link(artifact_key(f"mlflow-{name}"), name, _experiment(shipment), shipment.run_id, owner)
        if shipment.parent not in _linked:
            root = {"flow_run_id": UUID(shipment.origin.run_id)}
            experiment = _experiment_of(shipment.parent)
            _link("mlflow", shipment.origin.run_name, experiment, shipment.parent, root)
            _linked.add(shipment.parent)
    except Exception as error:
        logger.warning("no link from %s to MLflow (%s)", name, error)
    return True


def _link(key: str, name: str, experiment: str, run_id: str, owner: dict[str, Any]) -> None:
    text = (
        f"[{name} in MLflow]({mlflow_run_url(experiment, run_id)}), beside "
        f"[all pretrainings, the best first]({pretrainings_url(experiment)})"
    )
    link = ArtifactCreate(key=key, type="markdown", description=name, data=text, **owner)
    with get_client(sync_client=True) as prefect:
        prefect.create_artifact(link)


def _experiment(shipment: shipping.Shipment) -> str:
    """Return the experiment of a step's run: one that an older version opened does not say it."""
    assert shipment.run_id is not None
    return shipment.experiment or _experiment_of(shipment.run_id)


def _experiment_of(run_id: str) -> str:
    return client().get_run(run_id).info.experiment_id
