"""Which revision of `data/` a run was made of: from its records, or from MLflow alone."""

import re
from typing import TYPE_CHECKING

from components.core.journal import read_runs, read_steps, revision_of_run
from components.core.record import RECORD, read_record
from components.core.servers.databases import hidden
from components.core.servers.endpoints import tracking_uri
from components.core.tracking.client import client, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_TAG = "data_revision"
_REVISION = re.compile(r"[0-9a-f]{32}\.dir")
_HEX = re.compile(r"[0-9a-f]{32}")
_WORD = re.compile(r"[\w.-]+")


def revision_of(name: str) -> str:
    """Return the revision of a flow run (name or id), an MLflow run or a registered model.

    Of a model, it is the champion's, else the last version's. A revision is its own. Raises
    ValueError if nothing is called so, or nothing is known of its data.
    """
    if _REVISION.fullmatch(name):
        return name
    if found := _in_records(name) or (_in_mlflow(name) if _WORD.fullmatch(name) else None):
        return found
    raise ValueError(
        f"No run or model {name!r} of which the data is known: neither in the journals of this "
        f"machine nor in MLflow at {hidden(tracking_uri())}"
    )


def _in_records(name: str) -> str | None:
    for folder, run in read_runs():
        if name in (run.origin.run_name, run.origin.run_id):
            if found := revision_of_run(run.origin):
                return found
            paths = [step.path for step in read_steps(folder)]
            records = [read_record(path) for path in paths if (path / RECORD).exists()]
            return next((r.data_revision for r in records if r.data_revision), None)
    return None


def _in_mlflow(name: str) -> str | None:
    from mlflow.exceptions import MlflowException

    mlflow = client()
    experiment = experiment_id(mlflow)
    queries = [f"tags.flow_run_id = '{name}'", f"attributes.run_name = '{name}'"]
    try:
        if _HEX.fullmatch(name) and (found := _of_run(mlflow, experiment, mlflow.get_run(name))):
            return found
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    if fingerprint := _fingerprint_of_model(mlflow, name):
        queries.insert(0, f"tags.fingerprint = '{fingerprint}'")
    for query in queries:
        for run in mlflow.search_runs([experiment], query):
            if found := _of_run(mlflow, experiment, run):
                return found
    return None


def _of_run(mlflow: "MlflowClient", experiment: str, run: "Run") -> str | None:
    """Return what a run is tagged with, else what the steps of the same flow run are."""
    if found := run.data.tags.get(_TAG):
        return found
    flow_run = run.data.tags.get("flow_run_id", "")
    query = f"tags.flow_run_id = '{flow_run}' and tags.{_TAG} LIKE '%.dir'"
    others = mlflow.search_runs([experiment], query, max_results=1) if flow_run else []
    return others[0].data.tags[_TAG] if others else None


def _fingerprint_of_model(mlflow: "MlflowClient", name: str) -> str | None:
    """Return the fingerprint of the step that released the champion of `name`, else the newest."""
    models = mlflow.search_registered_models(f"name = '{name}'")
    versions = mlflow.search_model_versions(f"name = '{name}'") if models else []
    if not versions:
        return None
    champion = models[0].aliases.get("champion")
    chosen = [v for v in versions if str(v.version) == str(champion)]
    chosen = chosen or sorted(versions, key=lambda v: int(v.version))[-1:]
    return chosen[0].tags.get("path", "").rpartition("/")[2] or None
