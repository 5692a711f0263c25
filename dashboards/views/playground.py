"""Playground: ask one model or two, or have them go on with a text; see how sure they were."""

from html import escape
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd
import streamlit as st

from components.lib.inference.sampling import Sampling
from dashboards import playing
from dashboards.playing import Playable
from dashboards.reading.sources import reading_mlflow
from dashboards.states import empty, loaded, plain

if TYPE_CHECKING:
    from components.lib.inference.conversation import Chosen, Conversation

_NONE = "no second model"
_CHAT, _COMPLETION = "Chat", "Completion"
_INVITATIONS = {
    _CHAT: "Ask. Try: Sort: 5 2 9",
    _COMPLETION: "Begin a text: the model goes on where you stop",
}
_MAX_NAMED = 40  # tokens that have room for their names above their bars
_Turn = tuple[str, "list[Chosen]"]  # what was given, and the tokens that came


def draw() -> None:
    """Draw the page."""
    st.header("Playground")
    released = loaded("MLflow", _released)
    found = [*(released or []), *_of_runs()]
    if not found:
        if released is not None:
            empty("No model is on this machine.", "Train one with `bloomery run`.")
        return
    models = _choose(found)
    mode = _choose_mode(models[0])
    sampling, remembers = _settings(mode)
    message = st.chat_input(_INVITATIONS[mode])
    for column, model in zip(st.columns(len(models)), models, strict=True):
        with column:
            _play(model, mode, message, sampling, remembers)


@st.cache_data(ttl=15, show_spinner=False)
def _released() -> list[Playable]:
    with reading_mlflow() as mlflow:
        return playing.released(mlflow)


@st.cache_data(ttl=15, show_spinner=False)
def _of_runs() -> list[Playable]:
    return playing.of_runs()


@st.cache_resource(max_entries=3, show_spinner="Loading the model ...")
def _load(model: Playable) -> "Conversation":
    return playing.load(model)


def _choose(found: list[Playable]) -> list[Playable]:
    """Draw the choice of one model, or two, each by its run and its stage."""
    by_run: dict[str, list[Playable]] = {}
    for model in found:
        by_run.setdefault(model.run, []).append(model)
    columns = st.columns(4)
    first = columns[0].selectbox("Run", list(by_run))
    chosen = [_choose_stage(columns[1], by_run[first], "Stage")]
    second = columns[2].selectbox("Beside it, of run", [_NONE, *by_run])
    if second in by_run:
        chosen.append(_choose_stage(columns[3], by_run[second], "Stage beside it"))
    return list(dict.fromkeys(chosen))


def _choose_stage(place: Any, models: list[Playable], title: str) -> Playable:
    """Draw the choice of a stage; the last one, which all others led to, comes first."""
    of_run = models if models[0].run == playing.RELEASED else models[::-1]
    by_stage = {model.stage: model for model in of_run}
    return by_stage[place.selectbox(title, list(by_stage))]


def _choose_mode(model: Playable) -> str:
    """Draw the choice of the mode; a base model was never taught to answer."""
    mode = st.segmented_control(
        "Mode",
        [_CHAT, _COMPLETION],
        default=_COMPLETION if model.is_base else _CHAT,
        required=True,
        key=f"mode of {'base' if model.is_base else 'taught'} models",
        help="Chat puts what you write into the chat template. Completion gives the model the raw "
        "text, special tokens included, and shows how it goes on.",
    )
    return mode or _CHAT


def _settings(mode: str) -> tuple[Sampling, bool]:
    columns = st.columns([2, 2, 2, 1, 2], vertical_alignment="bottom")
    temperature = columns[0].slider(
        "Temperature", 0.0, 2.0, 0.0, 0.1, help="0 takes the likeliest token every time."
    )
    top_p = columns[1].slider("Top p", 0.05, 1.0, 1.0, 0.05)
    length = columns[2].slider("Tokens at most", 1, 256, 64)
    seed = columns[3].number_input("Seed", 0, 2**31, 0)
    remembers = mode == _CHAT and columns[4].toggle(
        "Remember the talk",
        value=False,
        help="Give the model what was said before. Models of the recipe `tiny` only ever saw "
        "single questions.",
    )
    sampling = Sampling(max_new_tokens=length, temperature=temperature, top_p=top_p, seed=int(seed))
    return sampling, remembers


def _play(
    model: Playable, mode: str, message: str | None, sampling: Sampling, remembers: bool
) -> None:
    """Draw what a model was given in this mode and what came, and give it what is new."""
    st.caption(plain(model.label))
    try:
        talk = _load(model)
    except ValueError as error:
        st.error(plain(f"This model cannot be loaded. {error}"))
        return
    key = f"{mode} with {model.folder} {model.as_exported}"
    turns: list[_Turn] = st.session_state.setdefault(key, [])
    for given, made in turns:
        _draw_turn(talk, mode, given, made)
    if message is None:
        return
    try:
        ids = talk.read(message) if mode == _COMPLETION else talk.ask(message)
        if remembers:
            ids = [*_said(talk, turns), *ids]
        made = _generate(talk, mode, message, talk.stream(ids, sampling))
    except ValueError as error:
        st.error(plain(str(error)))
        return
    turns.append((message, made))


def _said(talk: "Conversation", turns: list[_Turn]) -> list[int]:
    """Return the ids of a talk so far."""
    ids: list[int] = []
    for asked, answer in turns:
        ids += [*talk.ask(asked), *(token.id for token in answer)]
        ids += [] if talk.end is None else [talk.end]
    return ids


def _generate(talk: "Conversation", mode: str, message: str, stream: Any) -> "list[Chosen]":
    """Return the tokens of a stream, shown as they come."""
    made: list[Chosen] = []
    place = st.empty()
    for token in stream:
        made.append(token)
        with place.container():
            _draw_text(talk, mode, message, made)
    with place.container():
        _draw_turn(talk, mode, message, made)
    return made


def _draw_turn(talk: "Conversation", mode: str, given: str, made: "list[Chosen]") -> None:
    """Draw what was given and what came, and below it the probability of each token."""
    _draw_text(talk, mode, given, made)
    if not made:
        return
    found = playing.probabilities(made)
    st.altair_chart(_bars(found.assign(place=range(len(found)))), width="stretch")
    with st.expander("Next-token probabilities"):
        config = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        st.dataframe(found, hide_index=True, column_config={"probability": config})


def _draw_text(talk: "Conversation", mode: str, given: str, made: "list[Chosen]") -> None:
    """Draw plain text: of a talk two turns, of a completion one text, its beginning paler."""
    came = talk.text(made)
    if mode == _COMPLETION:
        begun = f'<span style="opacity: 0.6">{escape(given)}</span>'
        rest = escape(came) or "<em>(the model ended here)</em>"
        with st.container(border=True):
            st.html(f'<div style="white-space: pre-wrap">{begun}<b>{rest}</b></div>')
        return
    with st.chat_message("user"):
        st.text(given)
    with st.chat_message("assistant"):
        st.text(came or "(the model said nothing)")


def _bars(rows: pd.DataFrame) -> Any:
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
    if len(rows) > _MAX_NAMED:
        return bars.mark_bar()
    names = bars.mark_text(dy=-8, fontSize=13).encode(text="token", color=alt.value("#8a94a6"))
    return alt.layer(bars.mark_bar(), names)
