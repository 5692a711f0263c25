"""Training: the curves of trainings, also of those still running."""

from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.reading import curves
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded
from dashboards.views.charts import MAX_COLOURS, axis, height, legend

_MAX_POINTS = 1_000  # of a curve on the screen; MLflow keeps more
_CHART_HEIGHT = 190  # pixels, of the lines alone
_DIRECTIONS = ("across", "up")


class _Look(NamedTuple):
    """How curves are drawn."""

    over: str
    """What they are drawn over: a key of `AXES`."""
    is_log_across: bool
    """Whether that has a logarithmic scale."""
    is_log_up: bool
    """Whether the values have one."""
    smoothing: float
    """Weight of the values before, 0 to below 1."""


def draw() -> None:
    """Draw the page."""
    st.header("Training")
    stages = loaded("MLflow", _stages)
    if stages is None:
        return
    if not stages:
        empty("Nothing was trained yet.", "Start a training with `bloomery run pretrain`.")
        return
    columns = st.columns([3, 3, 2, 2, 1], vertical_alignment="bottom")
    stage = columns[0].segmented_control("Stage", stages, default=stages[0], required=True)
    look = _choose_look(columns[1:4])
    is_live = columns[4].toggle("Live", value=True, help="Read the newest points every 5 seconds.")
    st.fragment(_draw_runs, run_every=5 if is_live else None)(stage or stages[0], look)


def _choose_look(columns: Any) -> _Look:
    over = columns[0].segmented_control(
        "Over", list(curves.AXES), default="step", format_func=_axis_name, required=True
    )
    logarithmic = columns[1].segmented_control(
        "Logarithmic", _DIRECTIONS, selection_mode="multi", help="Values up to 0 are left out."
    )
    smoothing = columns[2].slider(
        "Smoothing", 0.0, 0.99, 0.0, 0.01, help="Weight of what came before; pale is what was."
    )
    return _Look(over or "step", "across" in logarithmic, "up" in logarithmic, smoothing)


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


def _draw_runs(stage: str, look: _Look) -> None:
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
        _draw_curves(points, look)


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
        max_selections=MAX_COLOURS,
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


def _draw_curves(points: pd.DataFrame, look: _Look) -> None:
    drawn = points.dropna(subset=[look.over])
    if drawn.empty:
        empty(f"These runs say nothing of their {look.over} yet.", "Draw them over steps.")
        return
    columns = st.columns(2)
    parts = dict(iter(drawn.groupby("metric")))
    for place, metric in enumerate(name for name in curves.METRICS if name in parts):
        chart = _curve(parts[metric], curves.METRICS[metric], look)
        columns[place % 2].altair_chart(chart, width="stretch")


def _curve(points: pd.DataFrame, title: str, look: _Look) -> Any:
    """Return a line a run; where it is smoothed, what was measured is pale behind it."""
    if look.smoothing == 0:
        return _lines(points, title, look, opacity=1.0)
    smooth = curves.smoothed(points, look.smoothing)
    measured = _lines(points, title, look, opacity=0.25)
    return alt.layer(measured, _lines(smooth, title, look, opacity=1.0))


def _lines(points: pd.DataFrame, title: str, look: _Look, opacity: float) -> alt.Chart:
    shown = points.query(f"{look.over} > 0") if look.is_log_across else points
    shown = shown.query("value > 0") if look.is_log_up else shown
    runs = list(points["run"].unique())
    thin = -(-len(shown) // (_MAX_POINTS * len(runs))) or 1
    return (
        alt.Chart(shown.iloc[::thin], title=title, height=height(_CHART_HEIGHT, runs))
        .mark_line(point=len(shown) < 60, opacity=opacity)
        .encode(
            x=alt.X(
                f"{look.over}:Q",
                title=curves.AXES[look.over],
                scale=_scale(look.is_log_across),
                axis=axis("~s"),
            ),
            y=alt.Y("value:Q", title=None, scale=_scale(look.is_log_up), axis=axis()),
            color=alt.Color("run:N", scale=alt.Scale(domain=runs), legend=legend(runs)),
            tooltip=["run", "step", "tokens", "seconds", alt.Tooltip("value", format=".4g")],
        )
    )


def _scale(is_log: bool) -> alt.Scale:
    return alt.Scale(type="log", nice=False) if is_log else alt.Scale(zero=False)
