"""A model that exists: what a recipe tells of it before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.core.artifacts.models import Checkpoint, Encoder
from flows.changes import changed
from flows.pretrain import ExistingModel
from flows.recipes import Recipe, smoke

_LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}


def _folder(tmp_path: Path, **config: Any) -> str:
    (tmp_path / "config.json").write_text(json.dumps(_LLAMA | config))
    return str(tmp_path)


def test_a_model_that_the_export_knows_goes_through_every_stage(tmp_path: Path) -> None:
    place = _folder(tmp_path)
    made = changed(smoke(), [f"pretrain.source={place}", "pretrain.sequence_length=128"])
    assert made.pretrain == ExistingModel(source=place, sequence_length=128)
    assert made.pretrain.makes() is Checkpoint


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "compress: It is GPT2LMHeadModel, and the int8"),
        ({"hidden_size": 48}, "compress: Its attention heads are 24 wide"),
        ({"is_encoder_decoder": True}, "is an encoder-decoder, and the stages continue one text"),
        ({"architectures": ["LlamaModel"]}, "LlamaModel, which has no head"),
        ({"architectures": ["BertForMaskedLM"]}, "takes Checkpoint, but pretrain .* makes Encoder"),
        ({"max_position_embeddings": 64}, "sequence_length is 128, and the context of .* holds 64"),
        ({"max_position_embeddings": None}, "declares no longest context"),
    ],
)
def test_what_a_stage_cannot_do_with_it_is_said_before_anything_runs(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Recipe(pretrain=ExistingModel(source=_folder(tmp_path, **config), sequence_length=128))


def test_an_encoder_ends_a_recipe(tmp_path: Path) -> None:
    place = _folder(tmp_path, architectures=["BertForMaskedLM"])
    nothing = dict.fromkeys(("finetune", "align", "compress", "release"))
    base = ExistingModel(source=place, sequence_length=128)
    made = Recipe.model_validate({"pretrain": base, **nothing})
    assert made.pretrain.makes() is Encoder


def test_a_model_that_is_elsewhere_is_asked_nothing_until_it_is_there() -> None:
    for source in ("hf://somebody/otter@main", "models:/otter@champion"):
        assert Recipe(pretrain=ExistingModel(source=source)).pretrain.makes() is Checkpoint
