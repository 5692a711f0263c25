"""Data: the funnel of a dataset, what planted items showed, and what the documents are like."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from components.core.servers.endpoints import tracking_uri
from dashboards.reading import data_cards
from dashboards.reading.scores import read_text
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded, plain

_ALL = "all sources"


def draw() -> None:
    """Draw the page."""
    st.header("Data")
    found = loaded("MLflow", _cards)
    if found is None:
        return
    if found.empty:
        empty("There is no data card yet.", "Make one with `bloomery run data`.")
        return
    card = _choose(found)
    content = loaded("MLflow", _content, card["run_id"])
    if content is None:
        empty("This run has no card in MLflow.", "Send it there with `bloomery sync`.")
        return
    _draw_totals(content)
    _draw_funnel(content)
    _draw_planted(content)
    _draw_statistics(content["statistics"])
    _draw_samples(content)
    _offer_page(card)


@st.cache_data(ttl=15, show_spinner=False)
def _cards() -> pd.DataFrame:
    with reading_mlflow() as mlflow:
        return data_cards.cards(mlflow)


@st.cache_data(ttl=600, show_spinner=False)
def _content(run_id: str) -> dict[str, Any] | None:
    with reading_mlflow() as mlflow:
        return data_cards.content(mlflow, run_id)


@st.cache_data(ttl=600, show_spinner=False)
def _page(run_id: str) -> str | None:
    with reading_mlflow() as mlflow:
        return read_text(mlflow, run_id, data_cards.PAGE)


def _choose(found: pd.DataFrame) -> dict[Any, Any]:
    rows = found.to_dict("records")
    titles = [f"{row['revision'][:12]}, {row['run']}, {row['made']:%Y-%m-%d %H:%M}" for row in rows]
    place = st.selectbox("Card of revision", range(len(rows)), format_func=titles.__getitem__)
    return rows[place]


def _draw_totals(content: dict[str, Any]) -> None:
    columns = st.columns(3)
    for column, (split, counts) in zip(columns, content["splits"].items(), strict=False):
        column.metric(split, f"{counts['documents']:,} documents")
        column.caption(f"{counts['bytes'] / 1e6:,.2f} MB, {counts['tokens']:,} tokens")


def _draw_funnel(content: dict[str, Any]) -> None:
    st.subheader("Funnel")
    sources = list(content["funnel_by_source"])
    chosen = st.selectbox("Documents of", [_ALL, *sources])
    rows = data_cards.funnel(content, None if chosen == _ALL else chosen)
    order = list(dict.fromkeys(rows["step"]))
    outcomes = list(dict.fromkeys(rows["outcome"]))
    chart = alt.Chart(rows, height=26 * len(order) + 130).mark_bar()
    st.altair_chart(
        chart.encode(
            x=alt.X("documents:Q", title="Documents that came to the step", stack="zero"),
            y=alt.Y("step:N", title=None, sort=order),
            color=alt.Color(
                "outcome:N", title="Outcome", sort=outcomes, legend=alt.Legend(orient="bottom")
            ),
            order=alt.Order("place:Q"),
            tooltip=["step", "outcome", alt.Tooltip("documents", format=",")],
        ),
        width="stretch",
    )


def _draw_planted(content: dict[str, Any]) -> None:
    st.subheader("What planted items showed")
    found = data_cards.planted(content)
    if found.empty:
        st.caption("Nothing was planted in this run, so no recall was measured.")
        return
    percent = st.column_config.ProgressColumn(format="%.1f", min_value=0, max_value=100)
    config: dict[str, Any] = {"recall %": percent, "precision %": percent}
    st.dataframe(found, hide_index=True, column_config=config)


def _draw_statistics(statistics: dict[str, Any]) -> None:
    left, right = st.columns(2)
    left.altair_chart(_bars(statistics["words"], "Words a document"), width="stretch")
    right.altair_chart(_bars(statistics["languages"], "Languages"), width="stretch")
    if statistics["domains"]:
        st.altair_chart(_bars(statistics["domains"], "Domains"), width="stretch")
    with st.expander("Sources and licences"):
        rows = {
            name: {
                "documents": source["documents"],
                "bytes": source["bytes"],
                "words": source["words"],
                "licences": ", ".join(f"{k}: {n:,}" for k, n in source["licences"].items()),
            }
            for name, source in statistics["by_source"].items()
        }
        st.dataframe(pd.DataFrame.from_dict(rows, orient="index"))


def _bars(counts: dict[str, int], title: str) -> alt.Chart:
    rows, every = data_cards.histogram(counts), alt.Axis(labelOverlap=False, labelLimit=200)
    return (
        alt.Chart(rows, title=title, height=max(150, 22 * len(rows) + 90))
        .mark_bar()
        .encode(
            x=alt.X("documents:Q", title="Documents"),
            y=alt.Y("name:N", title=None, sort=alt.SortField("place"), axis=every),
            tooltip=["name", alt.Tooltip("documents", format=",")],
        )
    )


def _draw_samples(content: dict[str, Any]) -> None:
    found = data_cards.samples(content)
    with st.expander(f"{len(found)} documents, as they begin"):
        for row in found.to_dict("records"):
            st.caption(plain(f"{row['fate']} {row['reason']}: {row['id']}"))
            st.code(row["text"], language=None, wrap_lines=True)


def _offer_page(card: dict[Any, Any]) -> None:
    uri = tracking_uri()
    if uri.startswith("http"):
        place = f"{uri}/#/experiments/{card['experiment']}/runs/{card['run_id']}/artifacts"
        st.link_button("The whole card, in MLflow", f"{place}/{data_cards.PAGE}")
    page = loaded("MLflow", _page, card["run_id"])
    if page is not None:
        name = f"card-{card['revision'][:12]}.html"
        st.download_button("Download the whole card", page, name, "text/html")
