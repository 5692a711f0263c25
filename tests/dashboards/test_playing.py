"""What the playground can talk to."""

import shutil

import pytest

from components.core.settings import settings
from components.lib.inference.sampling import Sampling
from components.release.register import Register
from dashboards import playing
from dashboards.playing import Playable
from tests.dashboards import store


@pytest.fixture
def released(mlflow, instruct):
    """A registered model whose folder lies here."""
    folder = settings().artifacts / "release.register" / Register.version / "toy-model"
    shutil.copytree(instruct.path, folder)
    store.release(folder, store.origin("one"))
    return folder


def test_a_registered_model_whose_folder_is_here_can_be_played_with(mlflow, released):
    assert playing.released(mlflow) == [
        Playable(playing.RELEASED, "toy v1 (champion), float32", released, as_exported=False)
    ]
    (released / "onnx").mkdir()
    (released / "onnx" / "model.onnx").touch()
    assert [model.as_exported for model in playing.released(mlflow)] == [True, False]


def test_a_model_that_lies_elsewhere_or_outside_is_left_out(mlflow, released, tmp_path):
    outside = tmp_path / "elsewhere"
    shutil.copytree(released, outside)
    for path in ("", "../../elsewhere", str(outside), f"release.register/{Register.version}/gone"):
        mlflow.set_model_version_tag("toy", "1", "path", path)
        assert playing.released(mlflow) == []


def test_a_model_whose_files_are_not_those_of_its_record_is_not_loaded(mlflow, released):
    (model,) = playing.released(mlflow)
    record = released / "artifact.json"
    text = record.read_text("utf-8").replace('"files": {}', '"files": {"config.json": "00"}')
    record.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is not the file"):
        playing.load(model)


def test_the_probabilities_of_an_answer_name_spaces_and_the_tokens_that_were_near(mlflow, released):
    (model,) = playing.released(mlflow)
    talk = playing.load(model)
    tokens = list(talk.stream(talk.ask("Count: 1 2"), Sampling(max_new_tokens=4)))
    table = playing.probabilities(tokens)
    assert len(table) == len(tokens)
    assert table["probability"].between(0, 1).all()
    assert not table["token"].str.contains(" ").any()
    assert playing.probabilities([]).empty
