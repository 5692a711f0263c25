"""Saved views of MLflow's page of runs: in its menu *Views*, and behind links of ours."""

import json
from typing import TYPE_CHECKING

from components.core.servers.endpoints import TRAINING_FACE, mlflow_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_TAG = "mlflow.sharedViewState.pretrainings"  # as MLflow's own *Save as new view* names it
_SORTED_BY = "metrics.`validation_bits_per_byte`"
_STATE = {
    # MLflow lists steps by themselves unless it sorts by date
    "searchFilter": "tags.component = 'pretrain.train'",
    "orderByKey": _SORTED_BY,
    "orderByAsc": True,
    "selectedColumns": [_SORTED_BY, "metrics.`loss`"],  # more than these are off a laptop's screen
}
_VIEW = {
    "name": "Pretrainings, best first",
    "createdAt": 0,
    "updatedAt": 0,
    "state": json.dumps(_STATE),
}


def add_views(mlflow: "MlflowClient", experiment: "Experiment") -> None:
    """Add the views that an experiment lacks; one that people changed stays as it is."""
    if _TAG not in experiment.tags:
        mlflow.set_experiment_tag(experiment.experiment_id, _TAG, json.dumps(_VIEW))


def pretrainings_url(experiment: str) -> str:
    """Return where people compare pretrainings, the best first, as charts."""
    key = _TAG.rpartition(".")[2]
    query = f"{TRAINING_FACE}&viewStateShareKey={key}&compareRunsMode=CHART"
    return f"{mlflow_url()}/#/experiments/{experiment}/runs?{query}"
