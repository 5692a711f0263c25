"""MLflow as the view: where it is, and the runs and numbers in it."""

import json
import logging
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from components.core.journal import Origin
from components.core.servers.databases import hidden
from components.core.servers.endpoints import flow_run_url, tracking_uri
from components.core.settings import settings
from components.core.tracking.moved import follow_home
from components.core.tracking.views import add_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

logger = logging.getLogger(__name__)

_PARAMS, _METRICS = 100, 1000  # of a call, the most that MLflow takes
_parents = dict[tuple[str, str, str], str]()  # MLflow runs, by server, experiment and flow run
_TRY_AGAIN = (408, 425, 429)  # of the answers that refuse, those that mean: later

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)  # no GPU is no news
logging.getLogger("alembic").setLevel(logging.WARNING)


def client() -> "MlflowClient":
    """Return a client of the tracking server or database in use."""
    import mlflow
    from mlflow import MlflowClient

    follow_home()
    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)  # the registry looks a model up through the global address
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def artifact_location() -> str:
    """Return the URL of the folder that new experiments keep their files under."""
    if settings().mlflow_artifacts:
        return settings().mlflow_artifacts
    folder = (settings().home / "mlflow" / "artifacts").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder.as_uri()


def experiment_id(mlflow: "MlflowClient") -> str:
    """Return the id of the experiment, made at the first call, restored if somebody deleted it."""
    name = settings().experiment
    if (found := mlflow.get_experiment_by_name(name)) is None:
        made = mlflow.create_experiment(name, artifact_location=artifact_location())
        add_views(mlflow, mlflow.get_experiment(made))
        return made
    if found.lifecycle_stage == "deleted":
        mlflow.restore_experiment(found.experiment_id)
        logger.warning(
            "Experiment %r was deleted in MLflow and is restored, with its runs: this run goes "
            "there. To begin an empty one, name it by BLOOMERY_EXPERIMENT.",
            name,
        )
    add_views(mlflow, found)
    if settings().mlflow_artifacts:
        _warn_of_another_place(name, found.artifact_location)
    return found.experiment_id


@cache
def _warn_of_another_place(experiment: str, location: str) -> None:
    if not location.startswith(settings().mlflow_artifacts):
        logger.warning(
            "Experiment %r was made with its files under %s, and keeps them there. "
            "BLOOMERY_MLFLOW_ARTIFACTS=%s holds for new ones: name one by BLOOMERY_EXPERIMENT.",
            experiment,
            location,
            settings().mlflow_artifacts,
        )


def parent_run(mlflow: "MlflowClient", experiment: str, origin: Origin) -> str:
    """Return the id of the MLflow run of a whole flow run, made at the first call."""
    from mlflow.exceptions import MlflowException

    key = mlflow.tracking_uri, experiment, origin.run_id
    if known := _parents.get(key):
        try:
            mlflow.update_run(known, status="RUNNING")
            return known
        except MlflowException:  # somebody deleted it, or MLflow is away: it is looked for anew
            del _parents[key]
    _parents[key] = found = _find_parent(mlflow, experiment, origin)
    return found


def _find_parent(mlflow: "MlflowClient", experiment: str, origin: Origin) -> str:
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


def refusal(error: BaseException) -> str | None:
    """Return why MLflow refuses, and what to do; None if it is silent, or busy, or fails itself.

    What is refused is refused again at once, so nobody waits for it.
    """
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        return None
    status = error.get_http_status_code()
    if not 400 <= status < 500 or status in _TRY_AGAIN:
        return None
    remedy = ""
    if status in (401, 403):
        remedy = (
            " Give the login of that server by BLOOMERY_AUTH, or by MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, of a user who may write there."
        )
    reason = hidden(error.message.strip().splitlines()[0])[:300]
    return f"{reason.rstrip('.')} (HTTP {status}).{remedy}"


def is_active(mlflow: "MlflowClient", run_id: str) -> bool:
    """Return whether a run is there, and not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return mlflow.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dicts by dotted path; lists are leaves."""
    if not isinstance(value, dict):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def log_dataset(mlflow: "MlflowClient", run_id: str, revision: str, context: str) -> None:
    """Note on a run which revision of `data/` its inputs were made from."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"path": "data.dvc", "revision": revision})
    data = Dataset(name="data", digest=revision[:36], source_type="dvc", source=source)
    tags = [InputTag("mlflow.data.context", context)]
    mlflow.log_inputs(run_id, [DatasetInput(data, tags)])


def log_params(mlflow: "MlflowClient", run_id: str, params: dict[str, str]) -> None:
    """Log the params of a run, as many in a call as MLflow takes."""
    from mlflow.entities import Param

    entities = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(entities), _PARAMS):
        mlflow.log_batch(run_id, params=entities[start : start + _PARAMS])


def log_metrics(mlflow: "MlflowClient", run_id: str, metrics: "list[Metric]") -> None:
    """Log the metrics of a run that are finite, as many in a call as MLflow takes."""
    finite = [metric for metric in metrics if math.isfinite(metric.value)]
    for start in range(0, len(finite), _METRICS):
        mlflow.log_batch(run_id, metrics=finite[start : start + _METRICS])


def log_numbers(mlflow: "MlflowClient", run_id: str, values: dict[str, Any], when: int) -> None:
    """Log every number in `values` as a metric of a run; the rest is left out.

    `when` is in Unix milliseconds. What is not finite becomes a tag (see `tag_not_finite`).
    """
    from mlflow.entities import Metric

    leaves = {k: v for k, v in flatten(values).items() if type(v) in (int, float)}
    finite = {k: float(v) for k, v in leaves.items() if math.isfinite(v)}
    mlflow.log_batch(run_id, metrics=[Metric(k, v, when, 0) for k, v in finite.items()])
    tag_not_finite(mlflow, run_id, {k: str(v) for k, v in leaves.items() if k not in finite})


def tag_not_finite(mlflow: "MlflowClient", run_id: str, values: dict[str, str]) -> None:
    """Say as a tag what is no number: as a metric, infinity comes back from MLflow as 1.8e308."""
    for key, value in values.items():
        logger.warning("%s is %s: MLflow gets it as the tag not_finite.%s", key, value, key)
        mlflow.set_tag(run_id, f"not_finite.{key}", value)


def cut(text: str, limit: int, where: str) -> str:
    """Return `text`, or what fits of it with a word on where all of it is.

    MLflow cuts params at 6,000 and tags at 8,000 characters, without a word.
    """
    if len(text) <= limit:
        return text
    pointer = f" ... ({len(text):,} characters: the whole is in {where})"
    return text[: limit - len(pointer)] + pointer
