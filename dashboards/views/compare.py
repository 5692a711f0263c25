"""Compare models: scores with intervals, size against quality, recipes and machines that differ."""

from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.reading import scores
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded, plain
from dashboards.text.report import Report
from dashboards.views.charts import MAX_COLOURS, axis, height, legend

_MAX_RUNS = 40
_SHARES = ("accuracy", "accuracy_low", "accuracy_high")
_ROW, _CHART_HEIGHT = 20, 300  # pixels
_STAR = "★"


def draw() -> None:
    """Draw the page."""
    st.header("Compare models")
    left, right = st.columns([1, 4])
    name = left.text_input("Find", placeholder="part of a name").strip()
    runs = loaded("MLflow", _pipelines, name)
    if runs is None:
        return
    if runs.empty and name:
        empty("No pipeline has that name.", "Empty the field to see all of them.")
        return
    if runs.empty:
        empty("No pipeline has a scorecard yet.", "Run one to its end with `bloomery run`.")
        return
    with right:
        chosen = _choose(runs)
    if not chosen:
        empty("Nothing is chosen.", "Choose runs above.")
        return
    reports = loaded("MLflow", _reports, chosen)
    if reports is None:
        return
    _draw_models(scores.models(reports))
    _draw_differences(chosen)
    _draw_registered()


@st.cache_data(ttl=60, show_spinner=False)
def _pipelines(name: str) -> pd.DataFrame:
    with reading_mlflow() as mlflow:
        return scores.pipelines(mlflow, name)


@st.cache_data(ttl=600, show_spinner=False)
def _reports(chosen: dict[str, str]) -> dict[str, Report]:
    with reading_mlflow() as mlflow:
        found = {name: scores.report(mlflow, run_id) for name, run_id in chosen.items()}
    return {name: report for name, report in found.items() if report is not None}


@st.cache_data(ttl=600, show_spinner=False)
def _differences(chosen: dict[str, str]) -> pd.DataFrame:
    reports = _reports(chosen)
    with reading_mlflow() as mlflow:
        return scores.differences(mlflow, reports)


@st.cache_data(ttl=15, show_spinner=False)
def _registered() -> pd.DataFrame:
    with reading_mlflow() as mlflow:
        return scores.registered(mlflow)


def _choose(runs: pd.DataFrame) -> dict[str, str]:
    """Draw the choice of runs and return the ids of their MLflow runs, by name."""
    labels: dict[str, str] = {}
    for row in runs.to_dict("records"):
        name = row["run"] if row["run"] not in labels else f"{row['run']} {row['run_id'][:4]}"
        labels[name] = row["run_id"]
    released = dict(zip(runs["run_id"], runs["released"], strict=True))

    def title(name: str) -> str:
        made = released[labels[name]]
        return f"{name} ({made})" if made else name

    chosen = st.multiselect(
        "Pipelines",
        list(labels),
        default=list(labels)[:3],
        max_selections=_MAX_RUNS,
        format_func=title,
        help="The newest first; in brackets the registered version that a run released.",
        placeholder="Choose runs to compare",
    )
    return {name: labels[name] for name in chosen}


def _draw_models(models: pd.DataFrame) -> None:
    if models.empty:
        empty("The chosen runs measured no model.", "Choose one that was evaluated.")
        return
    shown = models.assign(label=labels(models))
    left, right = st.columns(2)
    left.altair_chart(_accuracies(shown), width="stretch")
    right.altair_chart(_trade(shown), width="stretch")
    if released := [f"{row['run']} as {row['released']}" for row in _released(models)]:
        st.caption(plain(f"{_STAR} Released: {'; '.join(released)}."))
    st.dataframe(
        models.assign(**{name: 100 * models[name] for name in _SHARES}).drop(columns="fingerprint"),
        hide_index=True,
        placeholder="",
        column_config={
            "bits_per_byte": st.column_config.NumberColumn("bits per byte", format="%.3f"),
            "accuracy": st.column_config.NumberColumn("accuracy %", format="%.1f"),
            "accuracy_low": st.column_config.NumberColumn("95 % from", format="%.1f"),
            "accuracy_high": st.column_config.NumberColumn("to", format="%.1f"),
            "megabytes": st.column_config.NumberColumn("MB", format="%.1f"),
            "tokens_per_second": st.column_config.NumberColumn("tokens/s", format="%.0f"),
            "num_parameters": st.column_config.NumberColumn("parameters", format="localized"),
            "released": st.column_config.TextColumn("released as"),
        },
    )


def labels(models: pd.DataFrame) -> list[str]:
    """Return what each model is called on the charts; what was released has a star."""
    rows = models.to_dict("records")
    return [f"{row['run']} / {row['step']}{f' {_STAR}' * bool(row['released'])}" for row in rows]


def _released(models: pd.DataFrame) -> list[dict[Any, Any]]:
    return models.query("released != ''").to_dict("records")


def _accuracies(models: pd.DataFrame) -> Any:
    """Return a row for every model: its accuracy with its interval."""
    every = alt.Axis(labelLimit=0, labelOverlap=False, labelBound=False, labelFlush=False)
    rows = alt.Y("label:N", title=None, sort=None, axis=every)
    share = axis("%")
    pixels = max(_CHART_HEIGHT, _ROW * len(models))
    base = alt.Chart(
        models,
        title="Accuracy, 95 % interval",
        height=height(pixels, models[_hue(models)], rows=models["label"]),
    )
    low = alt.X("accuracy_low:Q", title="Accuracy", axis=share, scale=alt.Scale(zero=True))
    bars = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=low, x2="accuracy_high:Q", y=rows)
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x="accuracy:Q",
        y=rows,
        tooltip=["run", "step", alt.Tooltip("accuracy", format=".1%"), "released"],
    )
    colour = _colour(models, rows=models["label"])
    return alt.layer(bars.encode(color=colour), points.encode(color=colour))


def _colour(models: pd.DataFrame, rows: Iterable[str] = ()) -> alt.Color:
    """Return the colours: of the runs, or of the steps where there are too many runs."""
    by = _hue(models)
    return alt.Color(f"{by}:N", sort=None, legend=legend(models[by], by.title(), rows=rows))


def _hue(models: pd.DataFrame) -> str:
    return "run" if len(set(models["run"])) <= MAX_COLOURS else "step"


def _trade(models: pd.DataFrame) -> Any:
    """Return size against quality; where the speed of decoding was measured, it is the size."""
    shown = models.assign(speed=models["tokens_per_second"].astype("float64").fillna(0.0))
    base = alt.Chart(
        shown,
        title=f"Size against quality; large decodes fast, {_STAR} is released",
        height=height(_CHART_HEIGHT, models[_hue(models)], models["step"]),
    ).encode(
        x=alt.X(
            "megabytes:Q",
            title="Megabytes",
            scale=alt.Scale(zero=True, nice=True),
            axis=axis(),
        ),
        y=alt.Y(
            "bits_per_byte:Q",
            title="Bits per byte (lower is better)",
            scale=alt.Scale(zero=False, nice=True),
            axis=axis(),
        ),
    )
    points = base.mark_point(filled=True, opacity=0.85).encode(
        color=_colour(models),
        shape=alt.Shape("step:N", sort=None, legend=legend(models["step"], "Step", orient="top")),
        size=alt.Size("speed:Q", legend=None, scale=alt.Scale(range=[90, 600])),
        tooltip=["run", "step", "bits_per_byte", "megabytes", "tokens_per_second", "released"],
    )
    stars = base.transform_filter("datum.released != ''").mark_text(
        text=_STAR, dy=-18, fontSize=15, color="#b59b00"
    )
    return alt.layer(points, stars)


def _draw_differences(chosen: dict[str, str]) -> None:
    st.subheader("How their recipes and machines differ")
    if len(chosen) < 2:
        st.caption("Choose two runs or more to see how they differ.")
        return
    found = loaded("MLflow", _differences, chosen)
    if found is None:
        return
    if found.empty:
        st.caption("Nothing: the chosen runs have the same recipe and machines that are alike.")
        return
    st.dataframe(found)


def _draw_registered() -> None:
    st.subheader("Registered models")
    found = loaded("MLflow", _registered)
    if found is None:
        return
    if found.empty:
        st.caption("None yet: a pipeline registers the model that passes its gate.")
        return
    moment = st.column_config.DatetimeColumn("registered (UTC)", format="YYYY-MM-DD HH:mm")
    st.dataframe(found, hide_index=True, placeholder="", column_config={"registered": moment})
