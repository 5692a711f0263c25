"""MLflow as the view: where it is, and the runs and numbers in it."""

import logging
from typing import TYPE_CHECKING, Any

from components.core.endpoints import flow_run_url, tracking_uri
from components.core.journal import Origin
from components.core.settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


def client() -> "MlflowClient":
    """Return a client of the tracking server or database in use."""
    import mlflow
    from mlflow import MlflowClient

    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)  # the registry looks a model up through the global address
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(mlflow: "MlflowClient") -> str:
    """Return the id of the experiment, made at the first call."""
    name = settings().experiment
    if (found := mlflow.get_experiment_by_name(name)) is not None:
        return found.experiment_id
    location = (settings().home / "mlflow" / "artifacts").resolve().as_uri()
    return mlflow.create_experiment(name, artifact_location=location)


def parent_run(mlflow: "MlflowClient", origin: Origin) -> str:
    """Return the id of the MLflow run of a whole flow run, made at the first call."""
    experiment = experiment_id(mlflow)
    query = f"tags.flow_run_id = '{origin.run_id}' and tags.level = 'flow'"
    if found := mlflow.search_runs([experiment], query, max_results=1):
        mlflow.update_run(found[0].info.run_id, status="RUNNING")
        return found[0].info.run_id
    tags = {
        "flow_run_id": origin.run_id,
        "flow": origin.flow,
        "level": "flow",
        **back_to(origin),
    }
    return mlflow.create_run(experiment, run_name=origin.run_name, tags=tags).info.run_id


def back_to(origin: Origin) -> dict[str, str]:
    """Return the tags of an MLflow run that lead back to its flow run."""
    if origin == Origin():  # no flow asked for it
        return {}
    url = flow_run_url(origin.run_id)
    note = f"Made by [{origin.run_name}]({url}), a run of the flow `{origin.flow}`."
    return {"flow_run_id": origin.run_id, "flow_run_url": url, "mlflow.note.content": note}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dicts by dotted path; lists are leaves."""
    if not isinstance(value, dict):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def log_numbers(mlflow: "MlflowClient", run_id: str, values: dict[str, Any]) -> None:
    """Log every number in `values` as a metric of a run; the rest is left out."""
    from mlflow.entities import Metric

    leaves = {k: v for k, v in flatten(values).items() if type(v) in (int, float)}
    mlflow.log_batch(run_id, metrics=[Metric(k, float(v), 0, 0) for k, v in leaves.items()])
