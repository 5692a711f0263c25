"""Models side by side: what pipelines scored, and how recipes and machines differ."""

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.reading.sources import experiment
from dashboards.text import machines
from dashboards.text.report import Report

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PIPELINE_COLUMNS = ["run", "flow", "started", "released", "flow_run_id", "run_id"]
_MODEL_COLUMNS = [
    "run",
    "step",
    "bits_per_byte",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "megabytes",
    "tokens_per_second",
    "num_parameters",
    "released",
    "fingerprint",
]
_REGISTERED_COLUMNS = ["model", "version", "aliases", "registered", "path"]
_SCORECARD_COLUMNS = [
    "step",
    "bits per byte",
    "accuracy",
    "95 % interval",
    "megabytes",
    "tokens/s",
    "seconds",
    "cached",
]
_MEASURES = {"evals.probe", "evals.baselines"}


def pipelines(mlflow: "MlflowClient", name: str = "", limit: int = 40) -> pd.DataFrame:
    """Return the latest runs that have a scorecard and `name` in their name, one a row.

    `released` says which version of which registered model a run made, if it made one.
    """
    query = "tags.level = 'flow' and tags.data_revision != ''"
    if kept := re.sub(r"[^\w.-]", "", name):  # nothing that ends a string of MLflow's language
        query += f" and attributes.run_name ILIKE '%{kept}%'"
    runs = _newest(mlflow, query, limit)
    versions = _releases(mlflow)
    rows = [
        {
            "run": run.info.run_name or "",
            "flow": run.data.tags.get("flow", ""),
            "started": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
            "released": versions.get(run.data.tags.get("flow_run_id", ""), ""),
            "flow_run_id": run.data.tags.get("flow_run_id", ""),
            "run_id": run.info.run_id,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=_PIPELINE_COLUMNS)


def _newest(mlflow: "MlflowClient", query: str, limit: int) -> "list[Run]":
    if not (where := experiment(mlflow)):
        return []
    order = ["attributes.start_time DESC"]
    return list(mlflow.search_runs(where, query, max_results=limit, order_by=order))


def _releases(mlflow: "MlflowClient") -> dict[str, str]:
    """Return the registered version that each flow run made, by the run's id."""
    label = {
        row["path"].rsplit("/", 1)[-1]: f"{row['model']} v{row['version']} {row['aliases']}".strip()
        for row in registered(mlflow).to_dict("records")
    }
    runs = _newest(mlflow, "tags.component = 'release.register'", 200)
    return {
        run.data.tags["flow_run_id"]: label[run.data.tags["fingerprint"]]
        for run in runs
        if run.data.tags.get("fingerprint") in label
    }


def registered(mlflow: "MlflowClient", limit: int = 100) -> pd.DataFrame:
    """Return the registered models, a version a row, the newest first.

    `path` is that of the released folder below the artifact root.
    """
    aliases: dict[tuple[str, str], list[str]] = {}
    for model in mlflow.search_registered_models(max_results=limit):
        for alias, version in model.aliases.items():
            aliases.setdefault((model.name, str(version)), []).append(alias)
    rows = [
        {
            "model": version.name,
            "version": int(version.version),
            "aliases": ", ".join(aliases.get((version.name, str(version.version)), [])),
            "registered": pd.Timestamp(version.creation_timestamp, unit="ms", tz="UTC"),
            "path": version.tags.get("path", ""),
        }
        for version in mlflow.search_model_versions(max_results=limit)
    ]
    found = pd.DataFrame(rows, columns=_REGISTERED_COLUMNS)
    return found.sort_values("registered", ascending=False, kind="stable", ignore_index=True)


def report(mlflow: "MlflowClient", run_id: str) -> Report | None:
    """Return the scorecard of a pipeline, by the id of its MLflow run; None before it has one."""
    if (text := read_text(mlflow, run_id, "report.json")) is None:
        return None
    return Report.model_validate_json(text)


def report_of_flow_run(mlflow: "MlflowClient", flow_run_id: str) -> Report | None:
    """Return the scorecard of a pipeline, by the id of its Prefect run."""
    query = f"tags.flow_run_id = '{flow_run_id}' and tags.level = 'flow'"
    found = _newest(mlflow, query, 1)
    return report(mlflow, found[0].info.run_id) if found else None


def read_text(mlflow: "MlflowClient", run_id: str, path: str) -> str | None:
    """Return the text of an artifact of a run, None if it has no such artifact."""
    from mlflow.artifacts import load_text

    folder, _, _ = path.rpartition("/")
    if path not in [each.path for each in mlflow.list_artifacts(run_id, folder or None)]:
        return None
    uri = mlflow.get_run(run_id).info.artifact_uri
    return load_text(f"{uri}/{path}")


def scorecard(found: Report) -> pd.DataFrame:
    """Return the models that a pipeline measured, one a row."""
    rows = [
        {
            "step": row.component,
            "bits per byte": row.bits_per_byte,
            "accuracy": row.accuracy,
            "95 % interval": _interval(row.accuracy_interval),
            "megabytes": _megabytes(row.bytes_on_disk),
            "tokens/s": row.decode_tokens_per_second,
            "seconds": row.seconds,
            "cached": row.cached,
        }
        for row in found.stages
        if row.bits_per_byte is not None and row.component not in _MEASURES
    ]
    return pd.DataFrame(rows, columns=_SCORECARD_COLUMNS)


def models(reports: dict[str, Report]) -> pd.DataFrame:
    """Return every model that was measured in some pipelines, one a row; reports by run name."""
    rows: list[dict[str, Any]] = []
    for name, found in reports.items():
        last = ""
        for row in found.stages:
            if row.bits_per_byte is None or row.component in _MEASURES:
                continue
            last, (low, high) = row.fingerprint, row.accuracy_interval or (None, None)
            values = (name, row.component, row.bits_per_byte, row.accuracy, low, high)
            size = _megabytes(row.bytes_on_disk), row.decode_tokens_per_second, row.num_parameters
            rows.append(dict(zip(_MODEL_COLUMNS, (*values, *size, "", last), strict=True)))
        if found.model is not None and rows and rows[-1]["run"] == name:
            rows[-1]["released"] = f"{found.model.name} v{found.model.version}"
    return pd.DataFrame(rows, columns=_MODEL_COLUMNS)


def differences(mlflow: "MlflowClient", reports: dict[str, Report]) -> pd.DataFrame:
    """Return how pipelines differ, in recipes and machines: a row each, a column a pipeline.

    A step of the same fingerprint has the same recipe, so only steps that differ are looked up.
    """
    steps = {
        name: {row.component: row.fingerprint for row in found.stages if row.model is None}
        for name, found in reports.items()
    }
    components = dict.fromkeys(name for made in steps.values() for name in made)
    table: dict[str, dict[str, str]] = {}
    for component in components:
        prints = {name: made.get(component) for name, made in steps.items()}
        if len(set(prints.values())) == 1:
            continue
        params = {print_: _params(mlflow, print_) for print_ in set(prints.values())}
        for key in sorted({key for known in params.values() for key in known}):
            values = {name: params[print_].get(key, "") for name, print_ in prints.items()}
            if len(set(values.values())) > 1:
                table[f"{component}: {key}"] = values
    table |= machines.differences(reports)
    return pd.DataFrame.from_dict(table, orient="index", columns=list(reports))


def _params(mlflow: "MlflowClient", fingerprint: str | None) -> dict[str, str]:
    """Return the recipe of the step that a fingerprint names, without what it read."""
    if fingerprint is None:
        return {}
    found = _newest(mlflow, f"tags.fingerprint = '{fingerprint}'", 1)
    return dict(found[0].data.params) if found else {}


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def _megabytes(num_bytes: int | None) -> float | None:
    return None if num_bytes is None else num_bytes / 1e6
