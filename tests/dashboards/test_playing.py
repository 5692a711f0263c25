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


def test_every_model_of_a_run_can_be_played_with_by_its_run_and_its_stage(
    home, checkpoint, instruct, shards
):
    of = store.origin("calm-heron")
    for component, folder in (
        ("data.tokenize", shards.path),
        ("pretrain.train", checkpoint.path),
        ("finetune.sft", instruct.path),
    ):
        store.note_model(of, component, folder)
    base, taught = playing.of_runs()
    assert base.label == "calm-heron: pretrain.train, float32"
    assert taught.label == "calm-heron: finetune.sft, float32"
    assert (base.is_base, taught.is_base) == (True, False)
    assert (base.folder, taught.folder) == (checkpoint.path, instruct.path)


def test_two_runs_of_one_name_are_told_apart_by_their_ids(home, checkpoint):
    for run_id in ("0123456789", "9876543210"):
        of = store.origin("twin").model_copy(update={"run_id": run_id})
        store.note_model(of, "pretrain.train", checkpoint.path)
    assert {model.run for model in playing.of_runs()} == {"twin 01234567", "twin 98765432"}


def test_an_encoder_and_a_model_that_is_gone_are_not_offered(home, checkpoint, tmp_path):
    encoder = tmp_path / "encoder"
    shutil.copytree(checkpoint.path, encoder)
    of = store.origin("one")
    store.note_model(of, "pretrain.train", encoder)
    assert len(playing.of_runs()) == 1
    (encoder / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}', "utf-8")
    assert playing.of_runs() == []
    shutil.rmtree(encoder)
    assert playing.of_runs() == []
