"""Overview: what happened, what is planned, the steps of one run, and its outcome."""

import shutil
from typing import Any

import pandas as pd
import streamlit as st

from components.core.settings import settings
from dashboards.reading import flow_runs, journals, scores
from dashboards.reading.journals import DiskUse
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded, plain
from dashboards.text.report import Report

_GRAPH_HEIGHT = 780  # pixels; a longer graph scrolls
_MOMENT = "YYYY-MM-DD HH:mm"
_COLUMNS: dict[str, Any] = {
    "run": st.column_config.TextColumn("Run"),
    "flow": st.column_config.TextColumn("Flow"),
    "state": st.column_config.TextColumn("State"),
    "started": st.column_config.DatetimeColumn("Started (UTC)", format=_MOMENT),
    "due": st.column_config.DatetimeColumn("Due (UTC)", format=_MOMENT),
    "seconds": st.column_config.NumberColumn("Seconds", format="%.0f"),
    "disk": st.column_config.NumberColumn(
        "Disk, MB",
        format="%.1f",
        help="Of what the run made. What it was served from the cache counts at the run that made "
        "it. Empty for a run of another machine.",
    ),
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
        _draw_planned()
        return
    use = _disk_use()
    run = _choose(runs, use)
    _draw_planned()
    st.subheader(plain(f"Steps of {run['run']}"))
    _draw_run(run["id"], use.get(run["id"]))


@st.cache_data(ttl=5, show_spinner=False)
def _runs() -> pd.DataFrame:
    return flow_runs.recent()


@st.cache_data(ttl=5, show_spinner=False)
def _planned() -> tuple[pd.DataFrame, int]:
    return flow_runs.planned(), flow_runs.number_planned()


@st.cache_data(ttl=5, show_spinner=False)
def _steps(run_id: str) -> pd.DataFrame:
    return journals.with_reads(run_id, flow_runs.steps(run_id))


@st.cache_data(ttl=30, show_spinner=False)
def _disk_use() -> dict[str, DiskUse]:
    return journals.disk_use()


@st.cache_data(ttl=15, show_spinner=False)
def _reports(flow_run_id: str) -> list[Report]:
    """Return the scorecard of a run, or none: this machine's, else that which MLflow has."""
    if (here := journals.report_here(flow_run_id)) is not None:
        return [here]
    with reading_mlflow() as mlflow:
        found = scores.report_of_flow_run(mlflow, flow_run_id)
    return [] if found is None else [found]


def _choose(runs: pd.DataFrame, use: dict[str, DiskUse]) -> dict[Any, Any]:
    """Draw the latest runs and return the one that was chosen, the newest if none was."""
    disk = [use[run_id].made / 1e6 if run_id in use else None for run_id in runs["id"]]
    table = st.dataframe(
        runs.assign(disk=disk)[["run", "flow", "state", "started", "seconds", "disk", "link"]],
        column_config=_COLUMNS,
        hide_index=True,
        placeholder="",
        height=min(36 * (len(runs) + 1) + 3, 290),
        on_select="rerun",
        selection_mode="single-row",
        key="chosen_run",
    )
    st.caption(f"Choose a row to see its steps. {_disk_of_all(use)}")
    rows = table["selection"]["rows"]
    return runs.iloc[rows[0] if rows and rows[0] < len(runs) else 0].to_dict()


def _disk_of_all(use: dict[str, DiskUse]) -> str:
    if not use:
        return ""  # and perhaps no home either
    total = sum(each.made for each in use.values()) / 1e6
    free = shutil.disk_usage(settings().home).free / 1e9
    return f"All runs of this machine take {total:,.1f} MB; {free:,.0f} GB are free."


def _draw_planned() -> None:
    """Draw the runs to come, folded away: there is nothing to see of them yet."""
    found = loaded("Prefect", _planned)
    if found is None or found[0].empty:
        return
    runs, number = found
    due = runs["due"].iloc[0]
    with st.expander(f"Planned: {number:,}, the next at {due:%Y-%m-%d %H:%M} UTC"):
        st.dataframe(runs, column_config=_COLUMNS, hide_index=True, placeholder="")
        if number > len(runs):
            st.caption(f"The next {len(runs)} of {number:,}.")


def _draw_run(run_id: str, use: DiskUse | None) -> None:
    steps = loaded("Prefect", _steps, run_id)
    if steps is None:
        return
    if steps.empty:
        empty("This run has taken no step yet.", "Its steps show here as they begin.")
        return
    _draw_numbers(steps, use)
    left, right = st.columns([1, 1], gap="medium")
    with left, st.container(height=_GRAPH_HEIGHT):
        st.graphviz_chart(flow_runs.lineage(steps), alt="What each step was made from")
    with right:
        _draw_scorecard(run_id)
        st.markdown("**Steps**")
        shown = steps[["step", "state", "started", "seconds"]]
        st.dataframe(shown, column_config=_COLUMNS, hide_index=True, placeholder="")


def _draw_numbers(steps: pd.DataFrame, use: DiskUse | None) -> None:
    worked = steps[steps["state"] != "Cached"]["seconds"]
    columns = st.columns(5)
    columns[0].metric("Steps", len(steps))
    columns[1].metric("Served from cache", len(steps) - len(worked))
    columns[2].metric("Seconds of work", f"{worked.sum():,.0f}")
    if use is not None:
        columns[3].metric("Disk, of what it made", f"{use.made / 1e6:,.1f} MB")
        columns[4].metric("Shared with other runs", f"{use.shared / 1e6:,.1f} MB")


def _draw_scorecard(run_id: str) -> None:
    reports = loaded("MLflow", _reports, run_id)
    if reports is None:
        return
    st.markdown("**Scorecard**")
    if reports:
        _draw_report(reports[0])
    else:
        st.caption(
            "Neither this machine nor MLflow has a scorecard of this run: it has one once a step "
            "of it has ended, as long as what it made is there."
        )


def _draw_report(found: Report) -> None:
    if found.model is not None:
        released = f"{found.model.name} version {found.model.version}, {found.model.alias}"
        st.success(plain(f"Released: {released}."))
    for reason in found.rejected:
        st.warning(plain(f"Not released: {reason}."))
    baselines = [f"{name} {value:.3f}" for name, value in found.baselines.items()]
    table = scores.scorecard(found)
    if table.empty:
        st.caption("No model was measured in this run.")
        return
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
