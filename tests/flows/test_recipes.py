"""Recipes: stages that fit are taken in order, and what does not fit is refused by its types."""

from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from components.core.artifacts.models import Checkpoint, CompressedModel
from components.pretrain.train import Train
from flows.align import DirectPreference
from flows.changes import changed
from flows.compress import Int8
from flows.finetune import Supervised
from flows.pretrain import ExistingModel, FromScratch
from flows.recipes import RECIPES, Recipe, recipe, smoke
from flows.stage import NamedSets, Prepared, Stage, fits, sets_of


class Distil(Stage):
    """A toy stage, as somebody would add one: it takes a checkpoint and makes one."""

    temperature: float = 2.0
    """Of the teacher."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Return the model as it is."""
        return model


class Unpack(Stage):
    """A toy stage that takes what no other stage before it makes."""

    def apply(self, model: CompressedModel, prepared: Prepared) -> Checkpoint:
        """Not called."""
        raise AssertionError


class LongerRecipe(Recipe):
    """The recipe with one line more: the alternatives of a stage."""

    finetune: Supervised | Distil | Unpack | None = Supervised()
    """Instruct model."""


def test_the_stages_of_a_recipe_are_those_that_are_there_in_order() -> None:
    assert [stage.name for stage in smoke().stages()] == [
        "pretrain",
        "finetune",
        "align",
        "compress",
    ]
    bare = Recipe(finetune=None, compress=None)
    assert [stage.name for stage in bare.stages()] == ["pretrain", "align"]


def test_a_recipe_is_run_as_far_as_a_stage() -> None:
    assert smoke().until("data") == ()
    assert [stage.name for stage in smoke().until("align")] == ["pretrain", "finetune", "align"]
    with pytest.raises(ValueError, match=r"leaves out 'align'\. It has: data, pretrain"):
        Recipe(align=None).until("align")


@pytest.mark.parametrize("name", RECIPES)
def test_the_stages_of_every_recipe_fit(name: str) -> None:
    stages = recipe(name).stages()
    assert all(fits(before.makes(), after) for before, after in pairwise(stages))


def test_a_new_alternative_is_one_line_of_the_recipe() -> None:
    made = LongerRecipe.model_validate({"finetune": {"temperature": 3.0}})
    assert made.finetune == Distil(temperature=3.0)
    assert [type(stage) for stage in made.stages()] == [
        FromScratch,
        Distil,
        DirectPreference,
        Int8,
    ]


def test_stages_that_do_not_fit_are_refused_with_both_types() -> None:
    with pytest.raises(ValidationError) as refused:
        LongerRecipe(finetune=Unpack())
    assert (
        "(Unpack) takes CompressedModel, but pretrain (FromScratch) makes Checkpoint. Leave "
        in str(refused.value)
    )


def test_an_encoder_is_not_taught_to_answer() -> None:
    encoder: dict[str, Any] = {"pretrain": FromScratch(train=Train(architecture="bert"))}
    with pytest.raises(ValidationError, match=r"takes Checkpoint, but pretrain .* makes Encoder"):
        Recipe(**encoder)
    nothing = dict.fromkeys(("finetune", "align", "compress", "release"))
    assert len(Recipe(**encoder, **nothing).stages()) == 1
    del nothing["release"]
    with pytest.raises(ValidationError, match="release takes a model that was measured"):
        Recipe(**encoder, **nothing)


def test_new_tokens_of_a_model_are_learnt_by_a_stage_that_trains_embeddings() -> None:
    extended = ["tokens.extend.num_learnt=9"]
    with pytest.raises(ValueError, match=r"no stage trains its embeddings\. Bring one in"):
        changed(recipe("adapt"), extended)
    with pytest.raises(ValueError, match="no stage trains its embeddings"):
        changed(recipe("continue"), [*extended, "continued.train.lora.rank=8"])
    for name, change in (("adapt", "finetune.lora=null"), ("adapt", "continued={}")):
        assert changed(recipe(name), [*extended, change]).tokens.extend is not None
    assert changed(recipe("continue"), extended).tokens.extend is not None
    assert changed(smoke(), extended).tokens.extend is not None  # trained from scratch


def test_documents_are_read_in_sequences_that_the_model_can_hold() -> None:
    with pytest.raises(ValueError, match=r"continued\.sequence_length is 512, and .* 256 tokens"):
        changed(smoke(), ["continued.train.sequence_length=512"])


def test_replay_is_asked_for_by_a_share_and_sources_both() -> None:
    asked = ["continued.replay_share=0.1", 'continued.replay=["wiki"]']
    made = changed(recipe("continue"), asked)
    assert made.continued is not None
    assert made.continued.train.replay_share == 0.1
    assert sets_of(made.stages()) == NamedSets(replay=("wiki",))
    assert sets_of(recipe("continue").stages()) == NamedSets()
    for one in asked:
        with pytest.raises(ValueError, match=r"give both, as in --set continued\.replay="):
            changed(recipe("continue"), [one])


def test_an_existing_model_needs_a_source() -> None:
    with pytest.raises(ValidationError, match=r"set pretrain\.source"):
        Recipe(pretrain=ExistingModel())


@pytest.mark.parametrize(
    "wrong",
    [
        {"finetunes": None},
        {"align": {"betta": 1}},
        {"align": {"dpo": {"beta": "strong"}}},
        {"pretrain": None},
        {"pretrain": {"train": {}, "source": "/both"}},
    ],
    ids=str,
)
def test_what_is_misspelt_or_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)
