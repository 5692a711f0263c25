"""Each page without a browser: with nothing to show, with something, and with nobody answering."""

import json
import re
import shutil
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from components.core.settings import settings
from components.lib.inference.sampling import Sampling
from dashboards import playing
from tests.dashboards import store

PAGES = ["overview", "compare", "training", "data", "playground"]
NOTHING_YET = {
    "compare": "No pipeline has a scorecard yet",
    "training": "Nothing was trained yet",
    "data": "There is no data card yet",
    "playground": "No model is on this machine",
}


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")


@pytest.fixture
def filled(mlflow, instruct):
    """Two pipelines over one base, a training, a card and a model to talk to."""
    store.train(store.origin("one"), "base")
    store.pipeline("one", base="base")
    store.pipeline("two", base="base", beta=0.25)
    store.publish_card(store.origin("one"))
    folder = settings().artifacts / "release.register" / "1.0.0" / "toy-model"
    shutil.copytree(instruct.path, folder)
    store.release(folder, store.origin("one"))


def page(name: str) -> AppTest:
    script = f"from dashboards.views.{name} import draw\ndraw()"
    shown = AppTest.from_string(script).run(timeout=120)
    assert not shown.exception, [error.stack_trace for error in shown.exception]
    return shown


def said(shown: AppTest) -> str:
    kinds = (shown.text, shown.info, shown.error, shown.caption, shown.markdown, shown.subheader)
    return "\n".join(element.value for kind in kinds for element in kind)


@pytest.mark.parametrize("name", NOTHING_YET)
def test_a_page_that_has_nothing_to_show_says_how_it_will(mlflow, name):
    shown = page(name)
    assert NOTHING_YET[name] in said(shown)
    assert "bloomery run" in said(shown)
    assert not shown.error


@pytest.mark.parametrize("name", PAGES)
def test_a_page_whose_server_is_away_says_so_with_the_remedy(mlflow, monkeypatch, name):
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "http://127.0.0.1:9")
    settings.cache_clear()
    (error,) = page(name).error
    text = error.value.replace("\\", "")
    assert ("Prefect" if name == "overview" else "MLflow") + " at http://127.0.0.1:9" in text
    assert "`bloomery up`" in text


def test_models_are_compared_with_only_what_differs_in_their_recipes(filled):
    shown = page("compare")
    models, differences, registered = (table.value for table in shown.dataframe)
    assert len(models) == 6
    assert list(differences.index) == ["align.dpo: beta"]
    assert list(registered["model"]) == ["toy"]
    shown.multiselect[0].set_value(shown.multiselect[0].value[:1]).run(timeout=120)
    assert len(shown.dataframe[0].value) == 3
    assert "Choose two runs or more" in said(shown)


def test_a_training_shows_its_curves_over_each_axis(filled):
    shown = page("training")
    assert list(shown.dataframe[0].value["progress"]) == [1.0]
    number = len(shown.get("vega_lite_chart"))
    assert number == 5
    for axis in ("tokens", "seconds"):
        shown.button_group[1].set_value(axis).run(timeout=120)
        assert not shown.exception
        assert len(shown.get("vega_lite_chart")) == number


def test_curves_are_smoothed_with_the_measured_ones_pale_behind_them(filled):
    shown = page("training")
    shown.slider[0].set_value(0.9).run(timeout=120)
    measured, smooth = chart(shown)["layer"]
    assert (measured["mark"]["opacity"], smooth["mark"]["opacity"]) == (0.25, 1.0)


def test_either_axis_can_be_logarithmic(filled):
    shown = page("training")
    for chosen, across, up in ((["across"], "log", None), (["across", "up"], "log", "log")):
        shown.button_group[2].set_value(chosen).run(timeout=120)
        assert not shown.exception
        encoding = chart(shown)["encoding"]
        assert encoding["x"]["scale"].get("type") == across
        assert encoding["y"]["scale"].get("type") == up


def chart(shown: AppTest) -> dict[str, Any]:
    return json.loads(shown.get("vega_lite_chart")[0].proto.spec)


def test_a_card_is_shown_and_nothing_in_it_is_markup(filled):
    shown = page("data")
    assert len(shown.dataframe[0].value) == 1
    assert len(shown.get("vega_lite_chart")) == 4
    assert [code.value for code in shown.code] == [store.EVIL, store.EVIL]
    for text in (*shown.caption, *shown.markdown):
        assert not re.search(r"(?<!\\)[<!\[]", text.value)  # each mark is behind a backslash


def test_the_playground_answers_and_shows_how_sure_it_was(filled):
    shown = page("playground")
    shown.chat_input[0].set_value("Count: 1 2 3").run(timeout=120)
    assert not shown.exception
    assert [message.name for message in shown.chat_message] == ["user", "assistant"]
    assert shown.chat_message[0].text[0].value == "Count: 1 2 3"
    table = shown.dataframe[0].value
    assert table["probability"].between(0, 1).all()
    shown.chat_input[0].set_value(store.EVIL).run(timeout=120)
    assert [message.name for message in shown.chat_message] == ["user", "assistant"] * 2
    assert shown.chat_message[2].text[0].value == store.EVIL


def test_a_completion_goes_on_with_the_raw_text_and_no_chat_template(mlflow, checkpoint):
    store.note_model(store.origin("calm-heron"), "pretrain.train", checkpoint.path)
    shown = page("playground")
    assert shown.button_group[0].value == "Completion", "a base model was never taught to answer"
    shown.chat_input[0].set_value("The state <b>of").run(timeout=120)
    assert not shown.exception
    assert len(shown.chat_message) == 0
    (text,) = [html.value for html in shown.get("html") if "The state" in html.value]
    assert "The state &lt;b&gt;of" in text
    talk = playing.load(playing.of_runs()[0])
    expected = list(talk.stream(talk.read("The state <b>of"), Sampling(max_new_tokens=64)))
    assert list(shown.dataframe[0].value["probability"]) == pytest.approx(
        [token.probability for token in expected], abs=1e-5
    )


def test_what_a_mode_said_is_not_mixed_into_the_other(filled):
    shown = page("playground")
    shown.chat_input[0].set_value("Count: 1 2 3").run(timeout=120)
    shown.button_group[0].set_value("Completion").run(timeout=120)
    assert not shown.exception
    assert len(shown.chat_message) == 0
    shown.button_group[0].set_value("Chat").run(timeout=120)
    assert [message.name for message in shown.chat_message] == ["user", "assistant"]


def test_two_models_stand_beside_each_other(filled, checkpoint):
    store.note_model(store.origin("calm-heron"), "pretrain.train", checkpoint.path)
    shown = page("playground")
    shown.selectbox[2].set_value("calm-heron").run(timeout=120)
    labels = said(shown).replace("\\", "")
    assert "Released models: toy v1 (champion), float32" in labels
    assert "calm-heron: pretrain.train, float32" in labels


def test_a_model_that_is_damaged_is_named_and_the_page_stays(filled):
    for file in settings().artifacts.glob("release.register/*/toy-model/model.safetensors"):
        file.write_bytes(b"nothing")
    assert "This model cannot be loaded" in said(page("playground")).replace("\\", "")


def test_the_whole_dashboard_opens_on_its_first_page(mlflow):
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    try:
        shown = AppTest.from_file("../../../dashboards/app.py").run(timeout=120)
    finally:
        config.set_option("server.address", before)
    assert not shown.exception
    assert [header.value for header in shown.header] == ["Overview"]
