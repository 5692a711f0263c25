"""Playground: ask one model or two, and see how sure each was of every token."""

from typing import TYPE_CHECKING, Any

import altair as alt
import streamlit as st

from components.lib.inference.sampling import Sampling
from dashboards import playing
from dashboards.playing import Playable
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded, plain

if TYPE_CHECKING:
    from components.lib.inference.conversation import Chosen, Conversation

_NONE = "no second model"
_Turn = tuple[str, "list[Chosen]"]  # what was asked, and the tokens of the answer


def draw() -> None:
    """Draw the page."""
    st.header("Playground")
    found = loaded("MLflow", _playable)
    if found is None:
        return
    if not found:
        empty(
            "No registered model is on this machine.",
            "A pipeline registers the model that passes its gate: `bloomery run`.",
        )
        return
    models = _choose({model.label: model for model in found})
    sampling, remembers = _settings()
    message = st.chat_input("Ask, or begin a text. Try: Sort: 5 2 9")
    for column, model in zip(st.columns(len(models)), models, strict=True):
        with column:
            _talk(model, message, sampling, remembers)


@st.cache_data(ttl=15, show_spinner=False)
def _playable() -> list[Playable]:
    with reading_mlflow() as mlflow:
        return playing.playable(mlflow)


@st.cache_resource(max_entries=3, show_spinner="Loading the model ...")
def _load(model: Playable) -> "Conversation":
    return playing.load(model)


def _choose(models: dict[str, Playable]) -> list[Playable]:
    left, right = st.columns(2)
    first = left.selectbox("Model", list(models))
    others = [_NONE, *(label for label in models if label != first)]
    second = right.selectbox("Beside it", others, index=0)
    return [models[label] for label in (first, second) if label in models]


def _settings() -> tuple[Sampling, bool]:
    columns = st.columns([2, 2, 2, 1, 2], vertical_alignment="bottom")
    temperature = columns[0].slider(
        "Temperature", 0.0, 2.0, 0.0, 0.1, help="0 takes the likeliest token every time."
    )
    top_p = columns[1].slider("Top p", 0.05, 1.0, 1.0, 0.05)
    length = columns[2].slider("Tokens at most", 1, 256, 64)
    seed = columns[3].number_input("Seed", 0, 2**31, 0)
    remembers = columns[4].toggle(
        "Remember the talk",
        value=False,
        help="Give the model what was said before. Models of the recipe `tiny` only ever saw "
        "single questions.",
    )
    sampling = Sampling(max_new_tokens=length, temperature=temperature, top_p=top_p, seed=int(seed))
    return sampling, remembers


def _talk(model: Playable, message: str | None, sampling: Sampling, remembers: bool) -> None:
    """Draw what was said to a model, and have it answer what is new."""
    st.caption(plain(model.label))
    try:
        talk = _load(model)
    except ValueError as error:
        st.error(plain(f"This model cannot be loaded. {error}"))
        return
    turns: list[_Turn] = st.session_state.setdefault(f"turns of {model.label}", [])
    for asked, answer in turns:
        _draw_turn(talk, asked, answer)
    if message:
        _answer(talk, turns, message, sampling, remembers)


def _answer(
    talk: "Conversation", turns: list[_Turn], message: str, sampling: Sampling, remembers: bool
) -> None:
    """Have a model answer, showing the tokens as they come."""
    ids: list[int] = []
    for asked, answer in turns if remembers else []:
        ids += [*talk.ask(asked), *(token.id for token in answer)]
        ids += [] if talk.end is None else [talk.end]
    made: list[Chosen] = []
    with st.chat_message("user"):
        st.text(message)
    place = st.empty()
    try:
        for token in talk.stream([*ids, *talk.ask(message)], sampling):
            made.append(token)
            place.text(talk.text(made))
    except ValueError as error:
        st.error(plain(str(error)))
        return
    place.empty()
    _draw_answer(talk, made)
    turns.append((message, made))


def _draw_turn(talk: "Conversation", asked: str, answer: "list[Chosen]") -> None:
    with st.chat_message("user"):
        st.text(asked)
    _draw_answer(talk, answer)


def _draw_answer(talk: "Conversation", answer: "list[Chosen]") -> None:
    """Draw an answer as plain text, and below it the probability of each token."""
    with st.chat_message("assistant"):
        st.text(talk.text(answer) or "(the model said nothing)")
        if not answer:
            return
        found = playing.probabilities(answer)
        rows = found.assign(place=range(len(found)))
        st.altair_chart(_bars(rows), width="stretch")
        with st.expander("Next-token probabilities"):
            config = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
            st.dataframe(found, hide_index=True, column_config={"probability": config})


def _bars(rows: object) -> Any:
    """Return a bar for every token, as high as the model was sure; hover for the others."""
    bars = alt.Chart(rows, height=130).encode(
        x=alt.X("place:O", axis=None),
        y=alt.Y(
            "probability:Q",
            title=None,
            scale=alt.Scale(domain=[0, 1.15]),
            axis=alt.Axis(format="%", values=[0, 0.5, 1]),
        ),
        tooltip=["token", alt.Tooltip("probability", format=".1%"), "likeliest"],
    )
    names = bars.mark_text(dy=-8, fontSize=13).encode(text="token", color=alt.value("#8a94a6"))
    return alt.layer(bars.mark_bar(), names)
