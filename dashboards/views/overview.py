"""Overview: the latest pipelines, the steps of one, and its outcome."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.reading import flow_runs, scores
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded, plain
from dashboards.text.report import Report

_COLUMNS: dict[str, Any] = {
    "run": st.column_config.TextColumn("Run"),
    "flow": st.column_config.TextColumn("Flow"),
    "state": st.column_config.TextColumn("State"),
    "started": st.column_config.DatetimeColumn("Started (UTC)", format="YYYY-MM-DD HH:mm"),
    "seconds": st.column_config.NumberColumn("Seconds", format="%.0f"),
    "link": st.column_config.LinkColumn("Prefect", display_text="open"),
}


def draw() -> None:
    """Draw the page."""
    st.header("Overview")
    runs = loaded("Prefect", _runs)
    if runs is None:
        return
    if runs.empty:
        empty("No flow has run yet.", "Start one with `bloomery run`, or from the Prefect UI.")
        return
    run = _choose(runs)
    st.subheader(plain(f"Steps of {run['run']}"))
    _draw_steps(run["id"])
    st.subheader("Scorecard")
    _draw_scorecard(run["id"])


@st.cache_data(ttl=5, show_spinner=False)
def _runs() -> pd.DataFrame:
    return flow_runs.recent()


@st.cache_data(ttl=5, show_spinner=False)
def _steps(run_id: str) -> pd.DataFrame:
    return flow_runs.steps(run_id)


@st.cache_data(ttl=15, show_spinner=False)
def _reports(flow_run_id: str) -> list[Report]:
    """Return the scorecard of a run, or none."""
    with reading_mlflow() as mlflow:
        found = scores.report_of_flow_run(mlflow, flow_run_id)
    return [] if found is None else [found]


def _choose(runs: pd.DataFrame) -> dict[Any, Any]:
    """Draw the latest runs and return the one that was chosen, the newest if none was."""
    st.caption("Choose a row to see its steps.")
    table = st.dataframe(
        runs.drop(columns="id"),
        column_config=_COLUMNS,
        hide_index=True,
        placeholder="",
        height=min(36 * (len(runs) + 1) + 3, 290),
        on_select="rerun",
        selection_mode="single-row",
        key="chosen_run",
    )
    rows = table["selection"]["rows"]
    return runs.iloc[rows[0] if rows else 0].to_dict()


def _draw_steps(run_id: str) -> None:
    steps = loaded("Prefect", _steps, run_id)
    if steps is None:
        return
    if steps.empty:
        empty("This run has taken no step yet.", "Its steps show here as they begin.")
        return
    rows = steps.to_dict("records")
    worked = [row["seconds"] for row in rows if row["state"] != "Cached"]
    one, two, three = st.columns(3)
    one.metric("Steps", len(rows))
    two.metric("Served from cache", len(rows) - len(worked))
    three.metric("Seconds of work", f"{sum(worked):,.0f}")
    st.graphviz_chart(flow_runs.lineage(steps), width="stretch")
    with st.expander("As a table"):
        shown = steps[["step", "flow", "state", "started", "seconds"]]
        st.dataframe(shown, column_config=_COLUMNS, hide_index=True, placeholder="")


def _draw_scorecard(run_id: str) -> None:
    reports = loaded("MLflow", _reports, run_id)
    if reports is None:
        return
    if not reports:
        st.caption(
            "MLflow has no scorecard of this run: a pipeline has one once it has ended, and a run "
            "whose steps were all cached is not sent there."
        )
        return
    _draw_report(reports[0])


def _draw_report(found: Report) -> None:
    if found.model is not None:
        released = f"{found.model.name} version {found.model.version}, {found.model.alias}"
        st.success(plain(f"Released: {released}."))
    for reason in found.rejected:
        st.warning(plain(f"Not released: {reason}."))
    baselines = [f"{name} {value:.3f}" for name, value in found.baselines.items()]
    table = scores.scorecard(found)
    table["accuracy"] = 100 * table["accuracy"].astype("float64")
    st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        column_config={
            "bits per byte": st.column_config.NumberColumn(format="%.3f"),
            "accuracy": st.column_config.NumberColumn("accuracy %", format="%.1f"),
            "megabytes": st.column_config.NumberColumn(format="%.1f"),
            "tokens/s": st.column_config.NumberColumn(format="%.0f"),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
        },
    )
    if baselines:
        st.caption(plain(f"Baselines, bits per byte: {', '.join(baselines)}."))
