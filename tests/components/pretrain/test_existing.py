"""Adopt: a model in a folder is taken in as it is, and what is no model is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from components.core.files import manifest
from components.lib.models.folders import load_model
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles


def test_a_model_is_taken_in_with_its_weights_and_its_tokenizer(checkpoint, tmp_path):
    taken = Adopt().run(ModelFiles.of(checkpoint.path), tmp_path)
    assert taken.num_parameters == checkpoint.num_parameters
    ours, theirs = load_model(tmp_path).state_dict(), load_model(checkpoint.path).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert vocabulary_of(taken).vocab_size == load_model(tmp_path).config.vocab_size


def test_its_content_is_its_identity_wherever_it_lies(checkpoint, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(checkpoint.path, folder)
    one, other = (Adopt().fingerprint(ModelFiles.of(folder)) for folder in (first, second))
    assert one == other
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert Adopt().fingerprint(ModelFiles.of(second)) != one


def test_the_folder_is_left_as_it_was(checkpoint, tmp_path):
    before = manifest(checkpoint.path)
    Adopt().run(ModelFiles.of(checkpoint.path), tmp_path)
    assert manifest(checkpoint.path) == before


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_without_a_part_of_a_model_is_refused_by_name(checkpoint, tmp_path, missing):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint.path, folder)
    (folder / missing).unlink()
    named = missing.replace("model.", r"\*\.")
    with pytest.raises(ValueError, match=f"has no {named}, so it is no model to begin with"):
        ModelFiles.of(folder)


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"has no config\.json"):
        ModelFiles.of(Path("/nowhere/otter"))


def test_a_tokenizer_without_the_platforms_special_tokens_is_refused(checkpoint, tmp_path):
    folder, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(checkpoint.path, folder)
    out.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        file = folder / name
        if file.exists():
            file.write_text(file.read_text("utf-8").replace("<|user|>", "<|human|>"), "utf-8")
    with pytest.raises(ValueError, match=r"has no <\|user\|>.*a model that this platform made"):
        Adopt().run(ModelFiles.of(folder), out)
