"""Training: the curves of trainings, also of those still running."""

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.reading import curves
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded

_MAX_RUNS = 6
_MAX_POINTS = 1_000  # of a curve on the screen; MLflow keeps more


def draw() -> None:
    """Draw the page."""
    st.header("Training")
    stages = loaded("MLflow", _stages)
    if stages is None:
        return
    if not stages:
        empty("Nothing was trained yet.", "Start a training with `bloomery run pretrain`.")
        return
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    stage = left.segmented_control("Stage", stages, default=stages[0], required=True)
    axis = middle.segmented_control(
        "Over", list(curves.AXES), default="step", format_func=_axis_name, required=True
    )
    is_live = right.toggle("Live", value=True, help="Read the newest points every five seconds.")
    st.fragment(_draw_runs, run_every=5 if is_live else None)(stage or stages[0], axis or "step")


@st.cache_data(ttl=15, show_spinner=False)
def _stages() -> list[str]:
    with reading_mlflow() as mlflow:
        return curves.stages(mlflow)


@st.cache_data(ttl=4, show_spinner=False)
def _trainings(stage: str) -> pd.DataFrame:
    with reading_mlflow() as mlflow:
        return curves.trainings(mlflow, stage)


def _curves(runs: dict[str, str], going_on: set[str]) -> pd.DataFrame:
    """Return the curves of some runs, reading those of runs that have ended once."""
    parts = [
        (_curves_now if run_id in going_on else _curves_of_ended)({run_id: name})
        for run_id, name in runs.items()
    ]
    return pd.concat(parts, ignore_index=True)


@st.cache_data(ttl=4, show_spinner=False)
def _curves_now(runs: dict[str, str]) -> pd.DataFrame:
    with reading_mlflow() as mlflow:
        return curves.curves(mlflow, runs, list(curves.METRICS))


@st.cache_data(ttl=600, show_spinner=False)
def _curves_of_ended(runs: dict[str, str]) -> pd.DataFrame:
    return _curves_now(runs)


def _axis_name(axis: str) -> str:
    return curves.AXES[axis]


def _draw_runs(stage: str, axis: str) -> None:
    found = loaded("MLflow", _trainings, stage)
    if found is None:
        return
    chosen = _choose(found, stage)
    if not chosen:
        empty("Nothing is chosen.", "Choose runs above.")
        return
    shown = found.query("run_id in @ids", local_dict={"ids": list(chosen)})
    going_on = {row["run_id"] for row in shown.to_dict("records") if row["status"] == "running"}
    points = loaded("MLflow", _curves, chosen, going_on)
    if points is not None:
        _draw_numbers(shown)
        _draw_curves(points, axis)


def _choose(found: pd.DataFrame, stage: str) -> dict[str, str]:
    """Draw the choice of runs and return what they are called on this page, by their ids."""
    labels = {
        f"{row['run']} ({row['run_id'][:4]})": row["run_id"] for row in found.to_dict("records")
    }
    of_id = {run_id: label for label, run_id in labels.items()}
    ids = st.multiselect(
        "Runs, the newest first",
        list(of_id),
        default=list(of_id)[:2],
        max_selections=_MAX_RUNS,
        format_func=lambda run_id: of_id[run_id],
        key=f"runs of {stage}",
    )
    return {run_id: of_id[run_id] for run_id in ids}


def _draw_numbers(found: pd.DataFrame) -> None:
    st.dataframe(
        found.drop(columns="run_id"),
        hide_index=True,
        column_config={
            "progress": st.column_config.ProgressColumn("progress", min_value=0, max_value=1),
            "loss": st.column_config.NumberColumn("last loss", format="%.3f"),
            "started": st.column_config.DatetimeColumn("started (UTC)", format="MM-DD HH:mm"),
        },
    )


def _draw_curves(points: pd.DataFrame, axis: str) -> None:
    drawn = points.dropna(subset=[axis])
    if drawn.empty:
        empty(f"These runs say nothing of their {axis} yet.", "Draw them over steps.")
        return
    columns = st.columns(2)
    parts = dict(iter(drawn.groupby("metric")))
    for place, metric in enumerate(name for name in curves.METRICS if name in parts):
        chart = _curve(parts[metric], curves.METRICS[metric], axis)
        columns[place % 2].altair_chart(chart, width="stretch")


def _curve(points: pd.DataFrame, title: str, axis: str) -> alt.Chart:
    legend = alt.Legend(orient="bottom", title=None, labelLimit=400)
    thin = -(-len(points) // (_MAX_POINTS * points["run"].nunique()))
    return (
        alt.Chart(points.iloc[::thin], title=title, height=320)
        .mark_line(point=len(points) < 60)
        .encode(
            x=alt.X(f"{axis}:Q", title=curves.AXES[axis]),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("run:N", sort=None, legend=legend),
            tooltip=["run", "step", "tokens", "minutes", alt.Tooltip("value", format=".4g")],
        )
    )
