"""Data cards, as the runs of `data.card` left them in MLflow."""

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.reading.scores import read_text
from dashboards.reading.sources import experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

CARD, PAGE = "report/card.json", "report/card.html"
_COLUMNS = ["revision", "run", "made", "experiment", "run_id"]


def cards(mlflow: "MlflowClient", limit: int = 30) -> pd.DataFrame:
    """Return the latest data cards, one a row."""
    query = "tags.component = 'data.card' and attributes.status = 'FINISHED'"
    where, order = experiment(mlflow), ["attributes.start_time DESC"]
    runs = mlflow.search_runs(where, query, max_results=limit, order_by=order) if where else []
    rows = [
        {
            "revision": run.data.tags.get("data_revision", ""),
            "run": run.info.run_name or "",
            "made": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
            "experiment": run.info.experiment_id,
            "run_id": run.info.run_id,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def content(mlflow: "MlflowClient", run_id: str) -> dict[str, Any] | None:
    """Return what a card says, None if its run has none."""
    text = read_text(mlflow, run_id, CARD)
    return None if text is None else json.loads(text)


def funnel(card: dict[str, Any], source: str | None = None) -> pd.DataFrame:
    """Return the path of the documents: for each step those kept and, by reason, those left out."""
    rows = card["funnel"] if source is None else card["funnel_by_source"][source]
    parts: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        parts.append(_part(place, row["step"], "kept", row["documents"]))
        parts += [_part(place, row["step"], *reason) for reason in row["dropped"].items()]
    return pd.DataFrame(parts, columns=["place", "step", "outcome", "documents"])


def _part(place: int, step: str, outcome: str, documents: int) -> dict[str, Any]:
    return {"place": place, "step": step, "outcome": outcome, "documents": documents}


def planted(card: dict[str, Any]) -> pd.DataFrame:
    """Return what each step found of what was planted for it, one form a row."""
    rows = [
        {
            "step": step,
            "planted as": row["form"],
            "items": row["planted"],
            "found": row["found"],
            "recall %": row["recall_percent"],
            "must be found": row.get("due", 0),  # older cards have none
            "recall of those %": row.get("due_recall_percent"),
            "precision %": row["precision_percent"],
        }
        for step, forms in card["planted"].items()
        for row in forms
    ]
    return pd.DataFrame(rows)


def histogram(counts: dict[str, int]) -> pd.DataFrame:
    """Return counts as rows, in their order."""
    rows = [(place, name, count) for place, (name, count) in enumerate(counts.items())]
    return pd.DataFrame(rows, columns=["place", "name", "documents"])


def samples(card: dict[str, Any]) -> pd.DataFrame:
    """Return the beginnings of documents that were kept, and of those that a step left out."""
    kept = [{"fate": "kept", **row} for row in card["kept"]]
    dropped = [
        {"fate": f"left out by {step}", **row}
        for step, rows in card["dropped"].items()
        for row in rows
    ]
    return pd.DataFrame([*kept, *dropped], columns=["fate", "reason", "id", "text"])
